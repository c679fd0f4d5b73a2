"""Reading what a tapped button carries."""

from telegram import Update

from bot.outgoing import buttons
from bot.services.errors import StaleButton


def values(update: Update, count: int) -> tuple[str, ...]:
    """Return the values of the tapped button; raises ``StaleButton`` unless there are ``count``."""
    return at_least(update, count, count)


def at_least(update: Update, count: int, most: int) -> tuple[str, ...]:
    """Return the values of the tapped button: from ``count`` to ``most`` of them, else stale."""
    query = update.callback_query
    if query is None or query.data is None:
        raise StaleButton
    _, found = buttons.unpack(query.data)
    if not count <= len(found) <= most:
        raise StaleButton
    return found


def choice(update: Update, *known: str) -> str:
    """Return the one value of the tapped button; raises ``StaleButton`` unless it is known."""
    (found,) = values(update, 1)
    if found not in known:
        raise StaleButton
    return found
