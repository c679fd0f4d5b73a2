"""The patient's side of photos: what is kept, the consent to it, how to take them."""

from dataclasses import dataclass
from datetime import timedelta

from bot.domain.states import PhotoState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import photo_consent, reports, situation
from bot.services.deps import new_ref
from bot.services.errors import StaleButton
from bot.services.situation import CoursePlan, Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import alerts
from bot.storage.queries import photos as queries
from bot.storage.tables import Consent, Patient, Photo

MOST_A_DAY = 10
MOST_KEPT = 200
# Several photos come at once: they ask once. A question that was overlooked is asked again.
_ASKED_LATELY = timedelta(hours=1)
_DAY = timedelta(hours=24)
_CONSENT = "patient/photo_consent"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as Telegram announces it: where it can be fetched, how large it says it is."""

    file_id: str
    size: int
    album: str = ""


async def receive(turn: Turn, picture: Picture, *, urgent: bool) -> None:
    """Note a picture that is to be kept, if the patient agrees; without a yes they are asked.

    It has been passed on to a person before, whatever becomes of it here. Whoever reports danger
    is asked nothing.
    """
    patient = turn.patient
    if patient is None or patient.is_test or patient.joined_at is None:
        return
    if not turn.clinic.photos_on:
        return
    agreed = await photo_consent.agreed(turn, patient) is not None
    others = await queries.waiting_of(turn.session, patient.id or 0)
    urgent = urgent or bool(await alerts.open_of_patient(turn.session, patient.id or 0))
    ask = not agreed and patient.photo_requests and not urgent
    keep = (agreed or ask) and not await _too_many(turn, patient)
    whole = await situation.read(turn.session, patient.id or 0)
    plan = latest(whole)
    visit = plan.latest if plan is not None else None
    row = Photo(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        visit_id=visit.id if visit is not None else None,
        day=(turn.now.astimezone(whole.zone).date() - visit.done_date).days
        if visit is not None and visit.done_date is not None
        else None,
        album=picture.album or None,
        state=PhotoState.WAITING if keep else PhotoState.REFUSED,
        received_at=turn.now,
    )
    if keep:
        notes = {"file_id": picture.file_id, "size": picture.size, "number": turn.message_id}
        sealed.write(turn.session, row, notes)
    turn.session.add(row)
    await turn.session.flush()
    if ask and keep and not any(turn.now - each.received_at < _ASKED_LATELY for each in others):
        await _ask(turn, patient)


async def _too_many(turn: Turn, patient: Patient) -> bool:
    """Say whether more of one patient's photos would only fill the disk, or the line."""
    patient_id = patient.id or 0
    lately = await queries.taken_since(turn.session, patient_id, turn.now - _DAY)
    return lately >= MOST_A_DAY or await queries.count_held(turn.session, patient_id) >= MOST_KEPT


def latest(whole: Situation) -> CoursePlan | None:
    """Return the course whose session was the last one: a photo shows its area."""
    done = [
        (plan.latest.done_at, plan)
        for plan in reversed(whole.courses)
        if plan.latest is not None and plan.latest.done_at is not None
    ]
    # Of two at the same moment the newer course: the first of the latest is taken.
    return max(done, key=lambda each: each[0])[1] if done else None


async def _ask(turn: Turn, patient: Patient) -> None:
    await turn.tell_patient(
        patient,
        _CONSENT,
        {"photo_days": turn.clinic.photo_days},
        [
            [Button(label="photos_yes", data=buttons.pack("keepphotos", "yes"))],
            [Button(label="photos_no", data=buttons.pack("keepphotos", "no"))],
        ],
    )


async def coach(turn: Turn) -> None:
    """Say how to take photos, from where, and what the first ones lack; the consent comes first."""
    patient = turn.patient
    if patient is None:
        raise StaleButton
    if not turn.clinic.photos_on or patient.confirmed_at is None:
        await reports.ask_clinic(turn)
        return
    if await photo_consent.agreed(turn, patient) is None:
        await _ask(turn, patient)
        return
    whole = await situation.read(turn.session, patient.id or 0)
    plan = latest(whole)
    angles = plan.protocol.angles if plan is not None else ()
    stored = {each.angle for each in await queries.stored_of(turn.session, patient.id or 0)}
    missing = [each for each in angles if each not in stored] if stored else []
    await turn.tell_patient(
        patient,
        "patient/photo_how",
        {
            "angles": named(turn, patient, angles),
            "missing": named(turn, patient, missing),
        },
        [[Button(label="something_wrong", data=buttons.pack("wrong"))]],
    )


def named(turn: Turn, patient: Patient, angles: tuple[str, ...] | list[str]) -> list[str]:
    """Return the names of angles in the patient's language."""
    return [turn.deps.catalogue.label(patient.language, "angles", each) for each in angles]


async def agree(turn: Turn) -> None:
    """Record the yes; photos that waited for it are fetched now, else the tips follow."""
    patient = _asked(turn)
    turn.toast = "got_it"
    if await photo_consent.agreed(turn, patient) is not None:
        return
    written_in = turn.deps.texts.language_of(patient.language, _CONSENT)
    turn.session.add(
        Consent(
            patient_id=patient.id or 0,
            purpose=queries.PURPOSE,
            text_version=turn.deps.texts.version(written_in, _CONSENT),
            language=written_in,
            given_at=turn.now,
        )
    )
    patient.photo_requests = True
    turn.session.add(patient)
    await turn.session.flush()
    if not await queries.waiting_of(turn.session, patient.id or 0):
        await coach(turn)


async def refuse(turn: Turn) -> None:
    """Record the no, also after a yes: nothing is kept any more, and photos are not asked for.

    A yes can be taken back at any time, also where the clinic asks for no photos any more.
    """
    if turn.patient is None:
        raise StaleButton
    patient = turn.patient
    await photo_consent.withdraw(turn, patient)
    patient.photo_requests = False
    turn.session.add(patient)
    await turn.tell_patient(patient, "patient/photo_declined")


async def name_angle(turn: Turn, ref: str, angle: str) -> None:
    """Correct from where a photo was taken; it was taken for the one that came next."""
    patient = _asked(turn)
    photo = await queries.by_ref(turn.session, ref)
    if photo is None or photo.patient_id != patient.id or photo.state is not PhotoState.STORED:
        raise StaleButton
    plan = latest(await situation.read(turn.session, patient.id or 0))
    if plan is None or angle not in plan.protocol.angles:
        raise StaleButton
    photo.angle = angle
    turn.session.add(photo)
    turn.toast = "got_it"


def _asked(turn: Turn) -> Patient:
    if turn.patient is None or not turn.clinic.photos_on or turn.patient.confirmed_at is None:
        raise StaleButton
    return turn.patient
