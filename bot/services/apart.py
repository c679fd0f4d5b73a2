"""One patient after the other in one transaction: what fails for one holds up nobody else."""

import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

log = logging.getLogger(__name__)


async def alone(session: AsyncSession, job: str, work: Callable[[], Awaitable[int]]) -> int:
    """Do a job's work for one patient in a savepoint; 0 when it failed and changed nothing.

    Trouble of the database's own is everybody's, and is raised.
    """
    before = set(session.identity_map.keys())
    try:
        async with session.begin_nested():
            return await work()
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception(
            "a job failed for one patient",
            extra={"action": "job_failed", "job": job},
        )
        # Rows made and read again in there do not exist, and their ids are given out anew.
        for key in set(session.identity_map.keys()) - before:
            row = session.identity_map.get(key)
            if row is not None:
                session.expunge(row)
        return 0
