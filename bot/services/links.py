"""The link of a patient as it is shown: picture, address, and the session it is for."""

from datetime import datetime

from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import invitations, outbox, situation, words
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.tables import Patient, Practitioner


async def show(turn: Turn, practitioner: Practitioner, patient: Patient) -> None:
    """Queue a new link with its QR picture; every link before is closed, and none is kept.

    Link and picture are sealed, and forgotten once they are delivered.
    """
    address = await invitations.for_patient(
        turn.session, turn.clinic, patient, practitioner.id or 0, turn.now
    )
    whole = await situation.read(turn.session, patient.id or 0)
    done_at, planned_at = _session_of(whole)
    at = done_at or planned_at
    language = turn.clinic.language
    await outbox.to_practitioner(
        turn.session,
        practitioner,
        "practitioner/new_qr",
        turn.now,
        language=language,
        values={
            "patient": words.name_of(turn.session, patient),
            "link": address,
            "link_days": invitations.PATIENT_LIFE.days,
            "treatment": _treatment_of(turn, whole),
            "session_at": dates.moment(at, turn.clinic_zone, language, turn.now) if at else None,
            "session_planned": done_at is None,
        },
        rows=[
            [Button(label="copy_link", copies=address)],
            [Button(label="open_card", data=buttons.pack("card", patient.ref))],
        ],
        patient=patient,
        method="photo",
        file=address,
    )


def _treatment_of(turn: Turn, whole: Situation) -> str | None:
    """Return the name of the treatment that a link leads to, with its variant."""
    courses = whole.running() or whole.courses
    if not courses:
        return None
    full_name = courses[-1].protocol.full_name
    return turn.deps.catalogue.label(turn.clinic.language, "treatments", full_name)


def _session_of(whole: Situation) -> tuple[datetime | None, datetime | None]:
    """Return when the session that a link leads to was done, else when it is booked."""
    courses = whole.running() or whole.courses
    if not courses:
        return None, None
    latest, booked = courses[-1].latest, courses[-1].booked
    return latest.done_at if latest else None, booked.planned_at if booked else None
