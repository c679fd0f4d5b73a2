"""The practitioner's side of a new patient: name, treatment, link, and who opened it."""

from datetime import date, datetime, timedelta

from bot.domain import protocol as protocols
from bot.domain.protocol import Anchor
from bot.domain.states import PatientState, VisitState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import invitations, joining, preview, words
from bot.services.deps import new_ref
from bot.services.errors import CareError, NotAllowed, StaleButton
from bot.services.turn import Turn
from bot.services.typed_dates import MomentTyped
from bot.storage import sealed
from bot.storage.queries import people, plans
from bot.storage.tables import Course, Patient, Practitioner, ProtocolVersion, Reminder, Visit

NAME_LENGTH = 64
# A test course: the next visit lies this far ahead, and its messages come this far apart.
TEST_AHEAD = timedelta(days=28)
TEST_PACE = timedelta(seconds=2)


def lead_or_practitioner(turn: Turn) -> Practitioner:
    """Return the practitioner who asks; raises ``NotAllowed`` for anybody else."""
    if turn.practitioner is None:
        raise NotAllowed
    return turn.practitioner


async def own_patient(turn: Turn, ref: str) -> Patient:
    """Return the clinic's patient that a button names; a foreign or erased one is stale."""
    practitioner = lead_or_practitioner(turn)
    patient = await people.patient_by_ref(turn.session, practitioner.clinic_id, ref)
    if patient is None or patient.state is PatientState.ERASED:
        raise StaleButton
    return patient


def clean_name(typed: str) -> str:
    """Return the name in one line; raises ``CareError`` when it is empty or too long."""
    name = " ".join(typed.split())
    if not name or len(name) > NAME_LENGTH:
        raise CareError("name_length", {"longest": NAME_LENGTH})
    return name


async def ask_name(turn: Turn) -> None:
    """Begin a new patient: the next typed text is their name."""
    lead_or_practitioner(turn)
    await turn.await_text("new_patient_name")
    await turn.screen("practitioner/new_name", rows=[[_cancel()]])


async def take_name(turn: Turn, typed: str) -> None:
    """Keep the typed name and offer the treatments, the most recent first."""
    name = clean_name(typed)
    await turn.await_text("new_patient", name=name)
    await offer_treatments(turn, name)


async def offer_treatments(turn: Turn, name: str) -> None:
    """Show the approved treatments; raises ``CareError`` when none is approved yet."""
    approved = await usable_protocols(turn)
    recent = await plans.recent_protocols(turn.session, turn.clinic.id or 0)
    names = sorted(approved, key=lambda each: recent.index(each) if each in recent else len(recent))
    rows = [
        [
            Button(
                text=turn.deps.catalogue.label(turn.clinic.language, "treatments", each),
                data=buttons.pack("treat", each),
            )
        ]
        for each in names
    ]
    await turn.screen("practitioner/new_treatment", {"patient": name}, [*rows, [_cancel()]])


async def usable_protocols(turn: Turn) -> dict[str, ProtocolVersion]:
    """Return the clinic's newest approved version of each protocol."""
    usable: dict[str, ProtocolVersion] = {}
    for row in await plans.approved_protocols(turn.session, turn.clinic.id or 0):
        usable.setdefault(row.name, row)
    if not usable:
        raise CareError("nothing_approved")
    return usable


async def take_treatment(turn: Turn, protocol: str) -> None:
    """Show what would be planned, before anything is kept."""
    _, notes = await turn.awaiting()
    name = notes.get("name")
    if not name:
        raise StaleButton
    await turn.await_text("new_patient", **(notes | {"protocol": protocol}))
    await show_ready(turn, name, protocol, _noted_moment(notes))


def _noted_moment(notes: dict[str, str]) -> MomentTyped | None:
    return MomentTyped.from_text(notes["moment"]) if notes.get("moment") else None


async def show_ready(turn: Turn, name: str, protocol: str, moment: MomentTyped | None) -> None:
    """Show the plan's size and last date, with the button that creates it."""
    approved = await usable_protocols(turn)
    if protocol not in approved:
        raise CareError("unknown_protocol", {"name": protocol, "known": sorted(approved)})
    when = moment or MomentTyped(turn.now, past=True)
    language = turn.clinic.language
    count, last = preview.size(approved[protocol], when.at, turn.clinic_zone)
    rows = [
        [Button(label="create_show_qr", data=buttons.pack("create"))],
        [Button(label="change_time_of_session", data=buttons.pack("newtime"))],
        [Button(label="preview_plan", data=buttons.pack("newplan"))],
        [_cancel()],
    ]
    await turn.screen(
        "practitioner/new_ready",
        {
            "patient": name,
            "treatment": turn.deps.catalogue.label(language, "treatments", protocol),
            "session_now": moment is None,
            "session_planned": not when.past,
            "session_at": dates.moment(when.at, turn.clinic_zone, language),
            "n_messages": count,
            "last_date": dates.day(last, language),
        },
        rows,
    )


async def ask_session_time(turn: Turn) -> None:
    """Ask for the time of the session that the new patient had or will have."""
    _, notes = await turn.awaiting()
    if not notes.get("protocol"):
        raise StaleButton
    await turn.await_text("new_patient_time", **notes)
    await turn.screen("practitioner/ask_session_time", rows=[[_cancel()]])


async def take_session_time(turn: Turn, moment: MomentTyped) -> None:
    """Keep the typed time and show the plan again."""
    _, notes = await turn.awaiting()
    if not notes.get("protocol"):
        raise StaleButton
    await turn.await_text("new_patient", **(notes | {"moment": moment.to_text()}))
    await show_ready(turn, notes["name"], notes["protocol"], moment)


async def show_new_plan(turn: Turn) -> None:
    """Show the dates of the plan that would be created."""
    _, notes = await turn.awaiting()
    if not notes.get("protocol"):
        raise StaleButton
    approved = await usable_protocols(turn)
    moment = _noted_moment(notes) or MomentTyped(turn.now, past=True)
    lines = preview.lines(
        turn.deps.catalogue,
        approved[notes["protocol"]],
        moment.at,
        turn.clinic_zone,
        turn.clinic.language,
    )
    await turn.screen(
        "practitioner/new_plan",
        {"patient": notes["name"], "steps": lines},
        [[Button(label="create_show_qr", data=buttons.pack("create"))], [_cancel()]],
    )


async def create(turn: Turn) -> Patient:
    """Create what the buttons were filled in with; a second tap finds nothing left and is stale."""
    _, notes = await turn.awaiting()
    if not notes.get("protocol"):
        raise StaleButton
    await turn.await_text("")
    return await enroll(turn, notes["name"], notes["protocol"], _noted_moment(notes))


async def enroll(turn: Turn, typed_name: str, protocol: str, moment: MomentTyped | None) -> Patient:
    """Create patient, course and visit, and show the QR code and link that they open.

    ``moment`` is the session's time: past means done then, future means booked; nothing means now.
    """
    practitioner = lead_or_practitioner(turn)
    name = clean_name(typed_name)
    approved = await usable_protocols(turn)
    if protocol not in approved:
        raise CareError("unknown_protocol", {"name": protocol, "known": sorted(approved)})
    await _not_twice(turn, name)
    patient = Patient(
        ref=new_ref(),
        clinic_id=turn.clinic.id or 0,
        practitioner_id=practitioner.id or 0,
        language=turn.clinic.language,
        created_at=turn.now,
    )
    sealed.write(turn.session, patient, {"name": name})
    turn.session.add(patient)
    await turn.session.flush()
    await add_course(turn, patient, approved[protocol], moment)
    await show_link(turn, patient)
    return patient


async def _not_twice(turn: Turn, name: str) -> None:
    """Refuse a name that was enrolled in the last minutes and not opened: a slip of the finger."""
    for other in await people.patients(turn.session, turn.clinic.id or 0, limit=5):
        fresh = turn.now - other.created_at < invitations.SLIP
        if fresh and words.name_of(turn.session, other) == name:
            raise CareError("already_enrolled", {"patient": name})


async def add_course(
    turn: Turn, patient: Patient, version: ProtocolVersion, moment: MomentTyped | None
) -> Visit:
    """Give the patient a course on this protocol version, with its first visit."""
    course = Course(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        protocol_version_id=version.id or 0,
        created_at=turn.now,
    )
    turn.session.add(course)
    await turn.session.flush()
    when = moment or MomentTyped(turn.now, past=True)
    visit = Visit(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        course_id=course.id or 0,
        state=VisitState.DONE if when.past else VisitState.PLANNED,
        planned_at=None if when.past else when.at,
        done_at=when.at if when.past else None,
        done_date=session_day(turn, when.at) if when.past else None,
        recorded_at=turn.now,
        created_at=turn.now,
    )
    turn.session.add(visit)
    await turn.session.flush()
    return visit


def session_day(turn: Turn, done_at: datetime) -> date:
    """Return the date D of a session: in the clinic's zone, where the patient then was."""
    return done_at.astimezone(turn.clinic_zone).date()


async def show_link(turn: Turn, patient: Patient) -> None:
    """Send the practitioner a QR picture with the link; the link is forgotten once delivered."""
    practitioner = lead_or_practitioner(turn)
    address = await invitations.for_patient(
        turn.session, turn.clinic, patient, practitioner.id or 0, turn.now
    )
    await joining.send_link(turn, practitioner, patient, address)


async def confirm(turn: Turn, ref: str, *, is_them: bool) -> None:
    """Record whether the account that opened the link is the patient; raises when settled already."""
    patient = await own_patient(turn, ref)
    if patient.state is not PatientState.OPENED or patient.confirmed_at is not None:
        raise StaleButton
    name = words.name_of(turn.session, patient)
    if not is_them:
        await joining.unlink(turn, patient)
        await turn.screen(
            "practitioner/not_them",
            {"patient": name},
            [[Button(label="new_link", data=buttons.pack("link", patient.ref))]],
            patient=patient,
        )
        return
    patient.confirmed_at = turn.now
    turn.session.add(patient)
    await turn.screen("practitioner/confirmed", {"patient": name}, patient=patient)
    await joining.join_if_ready(turn, patient)


async def cancel(turn: Turn) -> None:
    """Forget what was being typed."""
    await turn.await_text("")
    await turn.screen("practitioner/cancelled")


def _cancel() -> Button:
    return Button(label="cancel", data=buttons.pack("cancel"))


async def test_course(turn: Turn, patient: Patient, version: ProtocolVersion) -> None:
    """Plan every step of a protocol once, a few seconds apart, for a test patient."""
    visit = await add_course(turn, patient, version, None)
    protocol = protocols.parse(version.name, version.content, f"protocols/{version.name}")
    visit.target_date = (visit.done_date or turn.now.date()) + TEST_AHEAD
    turn.session.add(visit)
    booked = Visit(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        course_id=visit.course_id,
        planned_at=turn.now + TEST_AHEAD,
        created_at=turn.now,
    )
    turn.session.add(booked)
    await turn.session.flush()
    for at, step in enumerate(protocol.steps):
        own = booked if step.when.anchor is Anchor.NV else visit
        turn.session.add(
            Reminder(
                ref=new_ref(),
                clinic_id=patient.clinic_id,
                patient_id=patient.id or 0,
                visit_id=own.id or 0,
                session_id=visit.id or 0,
                step=step.id,
                due_at=turn.now + at * TEST_PACE,
                expires_at=turn.now + timedelta(days=1),
                group_key=f"test-{step.id}",
                safety=step.safety,
                asked=True,
                created_at=turn.now,
            )
        )
    await turn.session.flush()
