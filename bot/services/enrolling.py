"""The practitioner's side of a new patient: name, treatment, link, and who opened it."""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from bot.domain.protocol import Anchor, Protocol
from bot.domain.states import PatientState, VisitState
from bot.domain.typed import one_line
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.outgoing.catalogue import Catalogue
from bot.services import accounts, actions, invitations, joining, links, preview, words
from bot.services.deps import new_ref
from bot.services.errors import CareError, NotAllowed, StaleButton
from bot.services.turn import Turn
from bot.services.typed_dates import MomentTyped
from bot.storage import sealed
from bot.storage.queries import outbox, people, versions
from bot.storage.tables import Course, Patient, Practitioner, ProtocolVersion, Reminder, Visit

NAME_LENGTH = 64
# The treatment as it is, where it has variants too.
ORDINARY = "ordinary"
# A test course: the next visit lies this far ahead, and its messages come this far apart.
TEST_AHEAD = timedelta(days=28)
TEST_PACE = timedelta(seconds=2)


def lead_or_practitioner(turn: Turn) -> Practitioner:
    """Return the practitioner who asks; raises ``NotAllowed`` for anybody else."""
    if turn.practitioner is None:
        raise NotAllowed
    return turn.practitioner


async def own_patient(turn: Turn, ref: str) -> Patient:
    """Return the clinic's patient that a button names; a foreign or erased one is stale.

    What was to be typed about another patient is waited for no longer.
    """
    practitioner = lead_or_practitioner(turn)
    patient = await people.patient_by_ref(turn.session, practitioner.clinic_id, ref)
    if patient is None or patient.state is PatientState.ERASED:
        raise StaleButton
    await turn.forget_text_about_others(patient)
    return patient


def clean_name(typed: str) -> str:
    """Return the name in one line; raises ``CareError`` for one that is too long or unreadable."""
    name = one_line(typed)
    if not any(each.isalnum() for each in name) or len(name) > NAME_LENGTH:
        raise CareError("name_length", {"longest": NAME_LENGTH})
    return name


async def ask_name(turn: Turn) -> None:
    """Begin a new patient: the next typed text is their name."""
    lead_or_practitioner(turn)
    await usable_protocols(turn)
    draft = new_ref()
    await turn.await_text("new_patient_name", draft=draft)
    await turn.screen("practitioner/new_name", rows=[[cancel_button(draft)]])


async def take_name(turn: Turn, typed: str) -> None:
    """Keep the typed name and offer the treatments, the most recent first."""
    _, notes = await turn.awaiting()
    name = clean_name(typed)
    await turn.await_text("new_patient", draft=notes["draft"], name=name)
    await offer_treatments(turn, name, notes["draft"])


async def _drafted(turn: Turn, draft: str) -> dict[str, str]:
    """Return what is noted of the new patient whose screen was tapped; an older screen is stale."""
    lead_or_practitioner(turn)
    _, notes = await turn.awaiting()
    if not draft or notes.get("draft") != draft:
        raise StaleButton
    return notes


async def offer_treatments(
    turn: Turn, name: str, draft: str, *, without: Collection[str] = ()
) -> None:
    """Show the approved treatments; raises ``CareError`` when none (beside those) is approved."""
    approved = [each for each in await usable_protocols(turn) if each not in without]
    if not approved:
        raise CareError("nothing_to_add", {"patient": name})
    recent = await versions.recent_protocols(turn.session, turn.clinic.id or 0)
    names = sorted(approved, key=lambda each: recent.index(each) if each in recent else len(recent))
    rows = [
        [
            Button(
                text=turn.deps.catalogue.label(turn.clinic.language, "treatments", each),
                data=buttons.pack("treat", each, draft),
            )
        ]
        for each in names
    ]
    await turn.screen(
        "practitioner/new_treatment", {"patient": name}, [*rows, [cancel_button(draft)]]
    )


async def usable_protocols(turn: Turn) -> dict[str, ProtocolVersion]:
    """Return the approved version of each protocol; what changed since needs a new approval."""
    approved = await versions.approved_protocols(turn.session, turn.clinic.id or 0)
    usable = {row.name: row for row in approved if is_current(turn.deps.catalogue, row)}
    if not usable:
        raise CareError("nothing_approved")
    return usable


def content_hash(content: Mapping[str, Any]) -> str:
    """Return what identifies a protocol's content; any change asks for a new approval."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[
        :16
    ]


def is_current(catalogue: Catalogue, row: ProtocolVersion) -> bool:
    """Say whether an approval is for what the messages hold today."""
    data = catalogue.protocol_data.get(row.name)
    return data is not None and row.content_hash == content_hash(data)


async def take_treatment(turn: Turn, protocol: str, draft: str) -> None:
    """Show what would be planned, before anything is kept; or first ask for the variant."""
    notes = await _drafted(turn, draft) | {"protocol": protocol, "variant": ""}
    await turn.await_text("new_patient", **notes)
    version = await usable_protocol(turn, protocol)
    variants = turn.deps.catalogue.protocols[version.name].variants
    if not variants:
        await show_ready(turn, notes)
        return
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    rows = [
        [
            Button(
                text=catalogue.label(language, "variants", each),
                data=buttons.pack("variant", each, draft),
            )
        ]
        for each in (ORDINARY, *variants)
    ]
    await turn.screen(
        "practitioner/new_variant",
        {
            "patient": notes["name"],
            "treatment": catalogue.label(language, "treatments", version.name),
        },
        [*rows, [cancel_button(draft)]],
    )


async def take_variant(turn: Turn, variant: str, draft: str) -> None:
    """Keep the chosen variant of the treatment, and show what would be planned."""
    notes = await ready(turn, draft) | {"variant": "" if variant == ORDINARY else variant}
    _protocol(turn, notes["protocol"], notes["variant"])
    await turn.await_text("new_patient", **notes)
    await show_ready(turn, notes)


def _protocol(turn: Turn, name: str, variant: str | None) -> Protocol:
    """Return what a course begun now follows: the approved protocol is what the messages hold."""
    protocol = turn.deps.catalogue.protocols.get(name)
    if protocol is None or (variant and variant not in protocol.variants):
        raise StaleButton
    return protocol.of(variant or None)


def noted_moment(notes: Mapping[str, str]) -> MomentTyped | None:
    """Return the session's time that was typed; nothing when it ends now."""
    return MomentTyped.from_text(notes["moment"]) if notes.get("moment") else None


async def show_ready(turn: Turn, notes: Mapping[str, str]) -> None:
    """Show the plan's size and last date, with the button that creates it."""
    version = await usable_protocol(turn, notes["protocol"])
    moment = noted_moment(notes)
    when = moment or MomentTyped(turn.now, past=True)
    language, draft = turn.clinic.language, notes["draft"]
    protocol = _protocol(turn, version.name, notes.get("variant"))
    count, last = preview.size(protocol, when.at, turn.clinic_zone)
    rows = [
        _create_row(notes),
        [Button(label="change_time_of_session", data=buttons.pack("newtime", draft))],
        [Button(label="preview_plan", data=buttons.pack("newplan", draft))],
        [cancel_button(draft)],
    ]
    await turn.screen(
        "practitioner/new_ready",
        {
            "patient": notes["name"],
            "treatment": turn.deps.catalogue.label(language, "treatments", protocol.full_name),
            "session_now": moment is None,
            "session_planned": not when.past,
            "session_at": dates.moment(when.at, turn.clinic_zone, language, turn.now),
            "n_messages": count,
            "last_date": dates.day(last, language, turn.today),
        },
        rows,
    )


def _create_row(notes: Mapping[str, str]) -> list[Button]:
    """Return the button that creates what is noted; who has a card already needs no link."""
    if notes.get("card"):
        return [Button(label="add_this_treatment", data=buttons.pack("added", notes["draft"]))]
    return [Button(label="create_show_qr", data=buttons.pack("create", notes["draft"]))]


async def usable_protocol(turn: Turn, name: str) -> ProtocolVersion:
    """Return the approved version of one protocol; raises ``CareError`` with those that exist."""
    usable = await usable_protocols(turn)
    if name not in usable:
        raise CareError("unknown_protocol", {"name": name[:NAME_LENGTH], "known": sorted(usable)})
    return usable[name]


async def ready(turn: Turn, draft: str) -> dict[str, str]:
    """Return what is noted of a new patient, or course, whose treatment is chosen."""
    notes = await _drafted(turn, draft)
    if not notes.get("protocol"):
        raise StaleButton
    return notes


async def ask_session_time(turn: Turn, draft: str) -> None:
    """Ask for the time of the session that the new patient had or will have."""
    notes = await ready(turn, draft)
    await turn.await_text("new_patient_time", **notes)
    await turn.screen(
        "practitioner/ask_session_time", {"patient": notes["name"]}, [[cancel_button(draft)]]
    )


async def take_session_time(turn: Turn, moment: MomentTyped) -> None:
    """Keep the typed time and show the plan again."""
    lead_or_practitioner(turn)
    _, known = await turn.awaiting()
    notes = known | {"moment": moment.to_text()}
    await turn.await_text("new_patient", **notes)
    await show_ready(turn, notes)


async def show_new_plan(turn: Turn, draft: str) -> None:
    """Show the dates of the plan that would be created."""
    notes = await ready(turn, draft)
    version = await usable_protocol(turn, notes["protocol"])
    moment = noted_moment(notes) or MomentTyped(turn.now, past=True)
    protocol = _protocol(turn, version.name, notes.get("variant"))
    lines = preview.lines(
        turn.deps.catalogue, protocol, moment.at, turn.clinic_zone, turn.clinic.language, turn.now
    )
    await turn.screen(
        "practitioner/new_plan",
        {"patient": notes["name"], "steps": lines},
        [_create_row(notes), [cancel_button(draft)]],
    )


async def create(turn: Turn, draft: str) -> Patient:
    """Create what the buttons were filled in with; a second tap finds nothing left and is stale."""
    notes = await ready(turn, draft)
    if notes.get("card"):
        raise StaleButton
    await turn.await_text("")
    variant = notes.get("variant") or None
    return await enroll(turn, notes["name"], notes["protocol"], noted_moment(notes), variant)


async def enroll_line(
    turn: Turn,
    typed_name: str,
    protocol: str,
    moment: MomentTyped | None,
    variant: str | None = None,
) -> None:
    """Enroll what was typed in one line; without a treatment its buttons are offered."""
    if not typed_name:
        raise CareError("enroll_form")
    if protocol:
        await enroll(turn, typed_name, protocol, moment, variant)
        return
    name, draft = clean_name(typed_name), new_ref()
    notes = {"draft": draft, "name": name}
    if moment is not None:
        notes["moment"] = moment.to_text()
    await turn.await_text("new_patient", **notes)
    await offer_treatments(turn, name, draft)


async def enroll(
    turn: Turn,
    typed_name: str,
    protocol: str,
    moment: MomentTyped | None,
    variant: str | None = None,
) -> Patient:
    """Create patient, course and visit, and show the QR code and link that they open.

    ``moment`` is the session's time: past means done then, future means booked; nothing means now.
    """
    practitioner = lead_or_practitioner(turn)
    if turn.clinic.live_at is None:
        # Nobody relies on a chain of alerts that was never seen to work.
        raise CareError("not_live")
    name = clean_name(typed_name)
    version = await usable_protocol(turn, protocol)
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
    await add_course(turn, patient, version, moment, variant)
    await actions.note(turn, patient, actions.Kind.ENROLLED)
    await links.show(turn, practitioner, patient)
    return patient


async def _not_twice(turn: Turn, name: str) -> None:
    """Refuse a name that was enrolled in the last minutes: a slip, or a second treatment."""
    for other in await people.patients(turn.session, turn.clinic.id or 0):
        fresh = turn.now - other.created_at < invitations.SLIP
        if fresh and words.name_of(turn.session, other) == name:
            raise CareError("enrolled_just_now", {"patient": name})


async def add_course(
    turn: Turn,
    patient: Patient,
    version: ProtocolVersion,
    moment: MomentTyped | None,
    variant: str | None = None,
) -> Visit:
    """Give the patient a course on this protocol version, with its first visit."""
    course = Course(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        protocol_version_id=version.id or 0,
        variant=_protocol(turn, version.name, variant).variant,
        created_at=turn.now,
    )
    turn.session.add(course)
    await turn.session.flush()
    at = moment.at if moment is not None else turn.now
    done = at <= turn.now
    visit = Visit(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        course_id=course.id or 0,
        state=VisitState.DONE if done else VisitState.PLANNED,
        planned_at=None if done else at,
        done_at=at if done else None,
        done_date=session_day(turn, at) if done else None,
        recorded_at=turn.now,
        created_at=turn.now,
    )
    turn.session.add(visit)
    await turn.session.flush()
    return visit


def session_day(turn: Turn, done_at: datetime) -> date:
    """Return the date D of a session: in the clinic's zone, where the patient then was."""
    return done_at.astimezone(turn.clinic_zone).date()


async def confirm(turn: Turn, ref: str, *, is_them: bool) -> None:
    """Record whether the account that opened the link is the patient; stale once settled."""
    patient = await own_patient(turn, ref)
    if patient.state is not PatientState.OPENED or patient.confirmed_at is not None:
        raise StaleButton
    shown = await outbox.message_in_chat(turn.session, turn.account.id, turn.message_id or 0)
    if shown is not None and patient.opened_at and shown.queued_at < patient.opened_at:
        # It showed another account: the link was opened anew since.
        raise StaleButton
    name = words.name_of(turn.session, patient)
    if not is_them:
        await accounts.unlink(turn, patient)
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


async def cancel(turn: Turn, draft: str) -> None:
    """Forget what was being typed; the button of an older screen forgets nothing."""
    await _drafted(turn, draft)
    await turn.await_text("")
    await turn.screen("practitioner/cancelled")


def cancel_button(draft: str) -> Button:
    """Return the button that ends the question with this draft's reference."""
    return Button(label="cancel", data=buttons.pack("cancel", draft))


async def test_course(turn: Turn, patient: Patient, version: ProtocolVersion) -> None:
    """Plan every step of a protocol once, a few seconds apart, for a test patient.

    Of several variants it is the one with most to say.
    """
    every = _protocol(turn, version.name, None).every
    protocol = max(every, key=lambda each: len(each.steps))
    visit = await add_course(turn, patient, version, None, protocol.variant)
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
