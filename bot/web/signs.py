"""What the loops of the process say of themselves, for the health pages and the metrics."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.states import Cause

A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signs:
    """Ages in seconds (nothing when it never happened) and what is wrong, if anything."""

    tick_age_s: float | None
    poll_age_s: float | None
    trouble: str | None
    causes: Collection[Cause] = ()
    flood_wait_s: float = 0.0
    conflicts: int = 0
    last_outage_s: float | None = None
    disk_free: float | None = None
