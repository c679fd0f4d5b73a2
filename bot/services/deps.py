"""What every service may need, built once by ``app`` and handed along."""

import asyncio
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from bot.clock import Clock
from bot.outgoing.catalogue import Catalogue
from bot.outgoing.texts import Texts
from bot.storage.database import Database
from bot.storage.photos import PhotoFiles


@dataclass(slots=True)
class Bells:
    """What wakes the loops that wait for a time: rung after a commit that gave them work."""

    plans: asyncio.Event = field(default_factory=asyncio.Event)
    outbox: asyncio.Event = field(default_factory=asyncio.Event)
    inbox: asyncio.Event = field(default_factory=asyncio.Event)
    photos: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        """Wake the loops that plan, send and fetch."""
        self.plans.set()
        self.outbox.set()
        self.photos.set()


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts that services work with."""

    database: Database
    catalogue: Catalogue
    texts: Texts
    clock: Clock
    bells: Bells
    # What does not lie in the database: photos, the list of the erased.
    data_dir: Path
    photos: PhotoFiles


def new_ref() -> str:
    """Return a random reference of 12 characters, fit for buttons and for the views."""
    return secrets.token_urlsafe(9)
