"""Two who act on one patient at the same moment: the second sees what the first has done."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import VisitState
from bot.services import enrolling, housekeeping, intake, joining, undoing, visits
from bot.services.errors import CareError, StaleButton
from bot.services.turn import Account, Turn
from bot.services.typed_dates import MomentTyped
from bot.storage.queries import people, plans
from bot.storage.tables import Patient
from tests.cast import Actor, Clinic

Act = Callable[[Turn], Awaitable[object]]
# Long enough for an act that nothing holds back; one that waits is still waiting then.
HEAD_START_S = 0.5


async def ana_of(session: AsyncSession, clinic: Clinic) -> Patient:
    patient = await people.patient_by_account(session, clinic.ana.person.id)
    assert patient is not None
    return patient


async def turn_of(session: AsyncSession, clinic: Clinic, actor: Actor) -> Turn:
    """What the inbox opens for an update of that person."""
    deps = clinic.rehearsal.app.deps
    turn = await intake.open_turn(session, deps, 0, clinic.now, Account(actor.person.id))
    assert turn is not None
    return turn


async def at_once(
    clinic: Clinic, first: tuple[Actor, Act], second: tuple[Actor, Act]
) -> BaseException | None:
    """The second begins before the first has committed; answers how the second was refused."""
    database = clinic.rehearsal.app.deps.database

    async def follow() -> None:
        async with database.write() as session:
            await second[1](await turn_of(session, clinic, second[0]))

    async with database.write() as session:
        await first[1](await turn_of(session, clinic, first[0]))
        await session.flush()
        following = asyncio.ensure_future(follow())
        await asyncio.wait([following], timeout=HEAD_START_S)
    refused = (await asyncio.gather(following, return_exceptions=True))[0]
    clinic.rehearsal.app.deps.bells.ring()
    await clinic.settle()
    return refused


async def test_consent_and_confirmation_at_once_begin_the_plan(both: Clinic) -> None:
    nour, ana = both.nour, both.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    async with both.rehearsal.app.deps.database.read() as session:
        ref = (await ana_of(session, both)).ref
    refused = await at_once(
        both,
        (ana, lambda turn: joining.take_zone(turn, "clinic")),
        (nour, lambda turn: enrolling.confirm(turn, ref, is_them=True)),
    )
    assert refused is None
    # Neither alone completes it; each must see the other's half.
    assert any("your care card" in words for words in ana.heard)
    await both.check_ledger()


async def test_a_session_that_two_record_at_once_is_one_session(both: Clinic) -> None:
    nour, ana = both.nour, both.ana
    await both.enroll(ana)
    await both.tick("2026-03-24 15:00")
    async with both.rehearsal.app.deps.database.read() as session:
        ref = (await ana_of(session, both)).ref

    async def record(turn: Turn) -> None:
        await visits.session_done(turn, ref)

    refused = await at_once(both, (nour, record), (nour, record))
    assert isinstance(refused, CareError)
    assert refused.template == "errors/session_recorded"
    sent = await both.history("card")
    assert sent.count("sent") == 2
    await both.check_ledger()


async def test_a_session_recorded_while_it_is_taken_as_missed_stays_recorded(both: Clinic) -> None:
    nour, ana = both.nour, both.ana
    deps = both.rehearsal.app.deps
    await both.enroll(ana)
    async with deps.database.write() as session:
        patient = await ana_of(session, both)
        ref = patient.ref
        when = MomentTyped(both.now + timedelta(days=14), past=False)
        await visits.set_visit(await turn_of(session, both, nour), ref, when)
    await both.forward(days=14, hours=1)
    later = both.now + housekeeping.UNRECORDED

    async def record(turn: Turn) -> None:
        await visits.session_done(turn, ref)

    async with deps.database.write() as session:
        await record(await turn_of(session, both, nour))
        await session.flush()
        missing = asyncio.ensure_future(housekeeping.mark_missed(deps, later))
        await asyncio.wait([missing], timeout=HEAD_START_S)
    assert await missing == 0
    async with deps.database.read() as session:
        found = await plans.visits(session, [patient.id or 0])
    assert [visit.state for visit in found] == [VisitState.DONE] * 2


async def test_a_session_recorded_while_its_booking_is_undone_stays_recorded(both: Clinic) -> None:
    nour, ana = both.nour, both.ana
    deps = both.rehearsal.app.deps
    await both.enroll(ana)
    await both.tick("2026-03-24 15:00")
    async with deps.database.write() as session:
        patient = await ana_of(session, both)
        patient_id, ref = patient.id or 0, patient.ref
        when = MomentTyped(both.now + timedelta(hours=2), past=False)
        await visits.set_visit(await turn_of(session, both, nour), ref, when)
    async with deps.database.read() as session:
        booking = await plans.latest_action(session, patient_id)
        assert booking is not None
    refused = await at_once(
        both,
        (nour, lambda turn: visits.session_done(turn, ref)),
        (nour, lambda turn: undoing.undo(turn, booking.ref)),
    )
    assert isinstance(refused, StaleButton)
    async with deps.database.read() as session:
        found = await plans.visits(session, [patient_id])
    assert [visit.state for visit in found] == [VisitState.DONE] * 2
    assert (await both.history("card")).count("sent") == 2
    await both.check_ledger()


async def test_a_target_set_while_the_session_is_undone_is_refused(both: Clinic) -> None:
    nour, ana = both.nour, both.ana
    deps = both.rehearsal.app.deps
    await both.enroll(ana)
    await both.tick("2026-03-24 15:00")
    async with deps.database.write() as session:
        patient = await ana_of(session, both)
        patient_id, ref = patient.id or 0, patient.ref
        await visits.session_done(await turn_of(session, both, nour), ref)
    async with deps.database.read() as session:
        recorded = await plans.latest_action(session, patient_id)
        visit = (await plans.visits(session, [patient_id]))[-1]
        assert recorded is not None
    refused = await at_once(
        both,
        (nour, lambda turn: undoing.undo(turn, recorded.ref)),
        (nour, lambda turn: visits.set_target(turn, visit.ref, "4")),
    )
    assert isinstance(refused, StaleButton)
    async with deps.database.read() as session:
        assert (await plans.visit(session, visit.id or 0)).target_date is None
    await both.check_ledger()
