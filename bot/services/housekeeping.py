"""Small things that only time brings about."""

from datetime import datetime, timedelta

from bot.services import joining
from bot.services.deps import Deps
from bot.services.turn import Account, Turn
from bot.storage.database import Priority
from bot.storage.queries import people

# Nobody goes without a care card because a question about the clock was left open.
ZONE_WAIT = timedelta(minutes=10)


async def join_without_zone(deps: Deps, now: datetime) -> int:
    """Begin the plans of those who agreed and were confirmed but did not tell their time zone.

    They get the clinic's zone, which is where they just were. Returns how many began.
    """
    async with deps.database.read() as session:
        if not await people.waiting_for_zone(session, now - ZONE_WAIT):
            return 0
    began = 0
    async with deps.database.write(Priority.PLAN) as session:
        for patient in await people.waiting_for_zone(session, now - ZONE_WAIT):
            clinic = await people.clinic(session, patient.clinic_id)
            turn = Turn(
                session=session,
                deps=deps,
                now=now,
                update_id=0,
                clinic=clinic,
                account=Account(patient.telegram_id or 0),
                patient=patient,
            )
            patient.timezone = clinic.timezone
            session.add(patient)
            began += await joining.join_if_ready(turn, patient)
    deps.bells.outbox.set()
    return began
