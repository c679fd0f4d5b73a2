"""A patient's reminders rest: by their own wish for seven days, or as the clinic says."""

from datetime import UTC, datetime, timedelta

from bot.domain.states import Lane, PatientState
from bot.domain.times import to_utc
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import dispatch, situation, team, words
from bot.services.errors import CareError, StaleButton
from bot.services.planning import replan
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.queries import plans
from bot.storage.tables import Patient

PAUSE_DAYS = 7
# A pause without an end.
UNTIL_RESUMED = datetime(9000, 1, 1, tzinfo=UTC)


def _active(turn: Turn) -> Patient:
    if turn.patient is None:
        raise CareError("not_a_patient")
    if turn.patient.state is not PatientState.ACTIVE:
        raise StaleButton
    return turn.patient


def end_row() -> list[Button]:
    """Return the row by which a patient ends their own pause."""
    return [Button(label="end_pause", data=buttons.pack("unpause"))]


async def tell_clinic(
    turn: Turn, patient: Patient, template: str, values: dict[str, object], lane: Lane = Lane.CARE
) -> None:
    """Tell whoever treats the patient what the patient has done; it is no alarm."""
    for practitioner in await team.responders(turn.session, patient):
        await turn.tell(
            practitioner,
            template,
            {"patient": words.name_of(turn.session, patient), **values},
            [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
            patient=patient,
            lane=lane,
        )


async def pause(turn: Turn) -> None:
    """Hold everything but safety checks for seven days, and say so."""
    patient = _active(turn)
    await begin(turn)
    whole = await situation.read(turn.session, patient.id or 0)
    rows = [end_row()] if await may_end(turn, patient) else []
    await turn.tell_patient(
        patient,
        "patient/paused",
        {"until": last_day(whole, patient.language, turn.now)},
        [*rows, [Button(label="something_wrong", data=buttons.pack("wrong"))]],
    )


async def begin(turn: Turn) -> None:
    """Hold everything but safety checks for seven days, to the end of quiet hours."""
    patient = _active(turn)
    whole = await situation.read(turn.session, patient.id or 0)
    before, until = patient.paused_until, _end_of_pause(whole, turn.now, PAUSE_DAYS)
    # A longer pause that the clinic has made stays as it is; so does one tapped twice.
    if before is not None and before >= until:
        return
    await pause_for(turn, patient, PAUSE_DAYS)
    await tell_clinic(
        turn,
        patient,
        "practitioner/patient_paused",
        {"until": last_day(whole, turn.clinic.language, turn.now)},
    )


async def may_end(turn: Turn, patient: Patient) -> bool:
    """Say whether the patient's pause is their own: what the clinic paused, the clinic resumes."""
    return patient.paused_until is not None and patient.paused_until != await _clinics(
        turn, patient
    )


async def _clinics(turn: Turn, patient: Patient) -> datetime | None:
    """Return until when the clinic has paused the patient; nothing when it has not, or is over."""
    action = await plans.latest_pause(turn.session, patient.id or 0)
    left = action.before.get("left") if action is not None else None
    until = datetime.fromisoformat(left) if left else None
    return until if until is not None and until > turn.now else None


async def finish(turn: Turn) -> None:
    """End the patient's own pause; what is still of use goes now, the clinic hears of it."""
    patient = _active(turn)
    if not await may_end(turn, patient):
        raise StaleButton
    patient.paused_until = await _clinics(turn, patient)
    turn.session.add(patient)
    await replan(turn.session, patient.id or 0, turn.now)
    await dispatch.dispatch(turn.session, [patient.id or 0], turn.now)
    await tell_clinic(turn, patient, "practitioner/pause_ended", {})


async def end(turn: Turn) -> None:
    """End the patient's own pause and say when the next message comes."""
    patient = _active(turn)
    await finish(turn)
    whole = await situation.read(turn.session, patient.id or 0)
    await turn.tell_patient(
        patient, "patient/pause_ended", {"next_date": words.next_date(whole, turn.now)}
    )


def last_day(whole: Situation, language: str, now: datetime) -> str | None:
    """Return the last day of the pause; nothing without a pause or when it has no end."""
    until = whole.patient.paused_until
    if until is None or until == UNTIL_RESUMED:
        return None
    last, today = until.astimezone(whole.zone).date(), now.astimezone(whole.zone).date()
    return dates.day(last, language, today)


async def pause_for(turn: Turn, patient: Patient, days: int) -> None:
    """Pause the patient until the end of quiet hours ``days`` days on; 0 is until it is resumed."""
    whole = await situation.read(turn.session, patient.id or 0)
    patient.paused_until = _end_of_pause(whole, turn.now, days)
    turn.session.add(patient)
    await replan(turn.session, patient.id or 0, turn.now)


def _end_of_pause(whole: Situation, now: datetime, days: int) -> datetime:
    day = now.astimezone(whole.zone).date() + timedelta(days=days)
    return to_utc(day, whole.quiet.end, whole.zone) if days else UNTIL_RESUMED
