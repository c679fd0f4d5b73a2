"""Reading what a tapped button carries."""

from telegram import Update

from bot.outgoing import buttons
from bot.services.errors import StaleButton


def values(update: Update, count: int) -> tuple[str, ...]:
    """Return the values of the tapped button; raises ``StaleButton`` unless there are ``count``."""
    query = update.callback_query
    if query is None or query.data is None:
        raise StaleButton
    _, found = buttons.unpack(query.data)
    if len(found) != count:
        raise StaleButton
    return found


def choice(update: Update, *known: str) -> str:
    """Return the one value of the tapped button; raises ``StaleButton`` unless it is known."""
    (found,) = values(update, 1)
    if found not in known:
        raise StaleButton
    return found
