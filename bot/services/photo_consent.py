"""The yes to photos, and its end: what was kept under it goes with it."""

from bot.services.turn import Turn
from bot.storage.queries import people
from bot.storage.queries import photos as queries
from bot.storage.tables import Consent, Patient


async def agreed(turn: Turn, patient: Patient) -> Consent | None:
    """Return the patient's consent to photos, if they have given one and not taken it back."""
    return await people.active_consent(turn.session, patient.id or 0, queries.PURPOSE)


async def withdraw(turn: Turn, patient: Patient) -> None:
    """End the consent to photos; those that were kept are gone with it, those that wait too."""
    consent = await agreed(turn, patient)
    if consent is not None:
        consent.withdrawn_at = turn.now
        turn.session.add(consent)
    await queries.let_go_waiting(turn.session, patient.id or 0)
    refs = [each.ref for each in await queries.stored_of(turn.session, patient.id or 0)]
    await queries.end(turn.session, refs)
    await turn.session.flush()
    for ref in refs:
        # Before the commit: a row that is left without its file is ended by the next look.
        turn.deps.photos.remove(ref)
