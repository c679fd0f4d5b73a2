"""From which account a patient speaks: let go, set aside for another course, given back."""

from bot.domain.states import PatientState
from bot.services import invitations
from bot.services.planning import replan
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import people, photos, plans
from bot.storage.tables import Patient

REMINDERS = "reminders"
# Kept, sealed, of a patient: the phone number, and what goes with it: whether it is the account's
# own, for what it was asked for, and a no.
PHONE, PHONE_SHARED = "phone", "phone_shared"
PHONE_ASKED, PHONE_REFUSED = "phone_asked", "phone_refused"
# Kept, sealed, of a patient who is joining: the card that the account came from and its state,
# and whether they had joined before with another account.
_BEFORE, _STATE, _AGAIN = "before", "before_state", "again"


async def unlink(turn: Turn, patient: Patient) -> None:
    """Let go of the patient's account; the patient can be invited again.

    Photos that wait go with it; those that are kept stay, as it may only be another phone.
    """
    for purpose in (REMINDERS, photos.PURPOSE):
        consent = await people.active_consent(turn.session, patient.id or 0, purpose)
        if consent is None:
            continue
        # It was the yes of that account.
        consent.withdrawn_at = turn.now
        turn.session.add(consent)
    # That account sent them: the yes of the next one is not about them.
    await photos.let_go_waiting(turn.session, patient.id or 0)
    account, patient.telegram_id = patient.telegram_id, None
    joined = patient.joined_at is not None
    patient.state = PatientState.INVITED
    patient.timezone = None
    patient.opened_at = patient.consented_at = patient.confirmed_at = patient.joined_at = None
    kept = sealed.read(turn.session, patient)
    if kept.get(PHONE_SHARED):
        # It was of whoever has that account.
        kept.pop(PHONE, None)
    for key in ("account", "username", PHONE_SHARED, PHONE_ASKED, PHONE_REFUSED):
        kept.pop(key, None)
    before, state = kept.pop(_BEFORE, ""), kept.pop(_STATE, "")
    if joined:
        kept[_AGAIN] = True
    sealed.write(turn.session, patient, kept)
    turn.session.add(patient)
    await turn.session.flush()
    if before:
        await _give_back(turn, patient, before, state, account)


async def _give_back(
    turn: Turn, patient: Patient, before_ref: str, state: str, account: int | None
) -> None:
    """Return an account to the card that it was set aside from, so that it still finds help."""
    before = await people.patient_by_ref(turn.session, patient.clinic_id, before_ref)
    if before is None or before.telegram_id is not None or before.state is PatientState.ERASED:
        return
    before.telegram_id, before.state = account, PatientState(state)
    # A session may have been recorded meanwhile; what fell due without an account is not replayed.
    before.resumed_at = turn.now
    turn.session.add(before)
    await replan(turn.session, before.id or 0, turn.now)


async def makes_way(turn: Turn, before: Patient, invited: int) -> bool:
    """Say whether an account may open a link for another course: its own have been ended."""
    if before.id == invited or before.state not in invitations.JOINED:
        return False
    return not await plans.active_courses(turn.session, before.id or 0)


async def set_aside(turn: Turn, before: Patient, patient: Patient) -> None:
    """Take the account off a card whose plan has ended; it goes back if the link was not for it."""
    kept = sealed.read(turn.session, patient)
    sealed.write(turn.session, patient, kept | {_BEFORE: before.ref, _STATE: before.state.value})
    before.telegram_id = None
    before.state = PatientState.STOPPED
    turn.session.add(before)
    await turn.session.flush()


def settle(turn: Turn, patient: Patient) -> bool:
    """Forget where the account of a patient who joins came from; say whether they join again."""
    kept = sealed.read(turn.session, patient)
    again = bool(kept.pop(_AGAIN, False))
    kept.pop(_BEFORE, "")
    kept.pop(_STATE, "")
    sealed.write(turn.session, patient, kept)
    turn.session.add(patient)
    return again
