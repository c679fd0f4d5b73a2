"""What a patient must still avoid, over all sessions: the latest end of each limit counts."""

from collections.abc import Iterable, Sequence
from datetime import datetime

Ends = Sequence[tuple[str, datetime]]


def strictest(plans: Iterable[Ends]) -> tuple[tuple[str, datetime], ...]:
    """Each limit of any plan once, with its latest end (UTC); the first to end comes first."""
    latest: dict[str, datetime] = {}
    for ends in plans:
        for limit, end in ends:
            latest[limit] = max(end, latest.get(limit, end))
    return tuple(sorted(latest.items(), key=lambda item: item[1]))


def still_on(ends: Ends, now: datetime) -> tuple[tuple[str, datetime], ...]:
    """The limits that end after ``now``, in the order given."""
    return tuple((limit, end) for limit, end in ends if end > now)
