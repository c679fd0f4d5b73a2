"""The typed context of a handler: its turn, found without any global state."""

from typing import Any

from telegram import Bot
from telegram.ext import Application, CallbackContext

from bot.services.turn import Turn, current_turn


class CareContext(CallbackContext[Bot, dict[Any, Any], dict[Any, Any], dict[Any, Any]]):
    """What every handler is given beside the update."""

    @property
    def turn(self) -> Turn:
        """The transaction and person of the update being handled."""
        return current_turn.get()


CareApplication = Application[Any, CareContext, Any, Any, Any, Any]
