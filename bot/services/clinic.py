"""The clinic itself: made by ``init``, its protocols read and approved, its team invited."""

import json
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PatientState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.outgoing.catalogue import Catalogue
from bot.services import accounts, colleagues, enrolling, invitations, outbox, preview, words
from bot.services.deps import Deps, new_ref
from bot.services.errors import CareError, NotAllowed, StaleButton
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import outbox as messages
from bot.storage.queries import people, plans, versions
from bot.storage.tables import Clinic, Consent, Patient, Practitioner, ProtocolVersion

_REVIEW_EVERY = timedelta(days=365)
LEAD = "lead"
PRACTITIONER = "practitioner"
ON, OFF = "on", "off"
_SET_BY_INIT = (
    *("sender_name", "timezone", "language", "phone", "emergency_number", "urgent_number"),
    *("urgent_place", "opening_hours", "bot_username", "confirm_joining"),
)


async def create(session: AsyncSession, clinic: Clinic, deps: Deps) -> str:
    """Store the clinic and return the lead's one-time link."""
    session.add(clinic)
    await session.flush()
    if clinic.is_demo:
        for name in deps.catalogue.protocols:
            await _approve(session, clinic, deps.catalogue, name, None, deps, is_demo=True)
    return await invitations.for_practitioner(session, clinic, LEAD, None, deps.clock.now())


async def invite_lead(session: AsyncSession, clinic: Clinic, deps: Deps) -> str:
    """Return a new one-time link that makes whoever opens it the lead; an earlier one is closed."""
    now = deps.clock.now()
    await people.close_team_invitations(session, clinic.id or 0, now, LEAD)
    return await invitations.for_practitioner(session, clinic, LEAD, None, now)


async def begin_again(session: AsyncSession, kept: Clinic, asked: Clinic, deps: Deps) -> str | None:
    """Take what ``init`` is given anew and return a new link for the lead.

    Nothing when it is another clinic, or when somebody already leads this one.
    """
    everybody = await people.practitioners(session, kept.id or 0)
    if asked.name != kept.name or any(each.role == LEAD for each in everybody):
        return None
    for field in _SET_BY_INIT:
        setattr(kept, field, getattr(asked, field))
    session.add(kept)
    return await invite_lead(session, kept, deps)


async def _approve(
    session: AsyncSession,
    clinic: Clinic,
    catalogue: Catalogue,
    name: str,
    lead: Practitioner | None,
    deps: Deps,
    *,
    is_demo: bool = False,
) -> ProtocolVersion:
    content = json.loads(json.dumps(catalogue.protocol_data[name], default=str))
    now = deps.clock.now()
    version = catalogue.protocols[name].version
    row = await versions.protocol_version_by_content(
        session, clinic.id or 0, name, version, enrolling.content_hash(content)
    )
    row = row or ProtocolVersion(
        clinic_id=clinic.id or 0,
        name=name,
        version=version,
        content_hash=enrolling.content_hash(content),
        content=content,
    )
    row.approved_by = lead.id if lead is not None else None
    row.approved_at = now
    row.review_by = (now + _REVIEW_EVERY).date()
    row.is_demo = is_demo
    session.add(row)
    await session.flush()
    return row


def _lead(turn: Turn) -> Practitioner:
    practitioner = enrolling.lead_or_practitioner(turn)
    if practitioner.role != LEAD:
        raise NotAllowed
    return practitioner


async def show_protocols(turn: Turn) -> None:
    """List the protocols with what is approved, each to be read by the lead."""
    _lead(turn)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    approved = {
        row.name
        for row in await versions.approved_protocols(turn.session, turn.clinic.id or 0)
        if enrolling.is_current(catalogue, row)
    }
    rows = [
        [
            Button(
                text=catalogue.label(language, "treatments", name),
                data=buttons.pack("protocol", name, "0"),
            )
        ]
        for name in catalogue.protocols
    ]
    await turn.screen(
        "practitioner/protocols",
        {
            "protocols": [
                {
                    "name": catalogue.label(language, "treatments", name),
                    "approved": name in approved,
                }
                for name in catalogue.protocols
            ]
        },
        rows,
    )


async def read_protocol(turn: Turn, name: str, page: str) -> None:
    """Show one page of a protocol: its limits first, then each message as a patient reads it."""
    _lead(turn)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    if name not in catalogue.protocols or not page.isdecimal():
        raise StaleButton
    given = preview.Dates(
        turn.now,
        turn.now + timedelta(days=28),
        (turn.now + timedelta(days=28)).astimezone(turn.clinic_zone).date(),
        turn.clinic_zone,
    )
    planned = [
        (protocol, each)
        for protocol in catalogue.protocols[name].every
        for each in preview.dated(protocol, given)
        # A variant is read by what it adds.
        if protocol.variant is None or each.step.variants
    ]
    at = min(int(page), len(planned) - 1)
    protocol, each = planned[at]
    values = preview.sample_values(catalogue, protocol, given, language, each)
    own = await words.patient_like_values(turn)
    text = "\n\n".join(
        turn.deps.texts.render(language, template, values | own).text
        for template in (each.step.template, each.step.warning_template)
        if template
    )
    last = at == len(planned) - 1
    read = enrolling.content_hash(catalogue.protocol_data[name])
    forward = (
        [Button(label="i_approve", data=buttons.pack("approve", name, read))]
        if last
        else [Button(label="next_page", data=buttons.pack("protocol", name, str(at + 1)))]
    )
    back = [Button(label="previous_page", data=buttons.pack("protocol", name, str(at - 1)))]
    await turn.screen(
        "practitioner/protocol_page",
        {
            "name": catalogue.label(language, "treatments", protocol.full_name),
            "version": protocol.version,
            "page": at + 1,
            "pages": len(planned),
            "step": each.step.id,
            "due": dates.moment(each.due_at, given.zone, language, turn.now)
            if each.due_at
            else None,
            "expires": dates.moment(each.expires_at, given.zone, language, turn.now)
            if each.expires_at
            else None,
            "body": text,
            "buttons": [catalogue.label(language, "buttons", key) for key in each.step.buttons],
            "sources": ", ".join(each.step.sources),
        },
        [forward, *([back] if at else [])],
    )


async def approve(turn: Turn, name: str, read: str) -> None:
    """Store the lead's approval of the content that was read; it is looked at again in a year."""
    lead = _lead(turn)
    content = turn.deps.catalogue.protocol_data.get(name)
    if content is None or enrolling.content_hash(content) != read:
        raise StaleButton
    row = await _approve(turn.session, turn.clinic, turn.deps.catalogue, name, lead, turn.deps)
    await turn.screen(
        "practitioner/approved",
        {
            "name": turn.deps.catalogue.label(turn.clinic.language, "treatments", name),
            "version": row.version,
            "review_by": dates.day(row.review_by, turn.clinic.language, turn.today)
            if row.review_by
            else "",
        },
        [
            [Button(label="send_test_patient", data=buttons.pack("test", name))],
            [Button(label="new_patient_button", data=buttons.pack("new"))],
        ],
    )


async def test_patient(turn: Turn, name: str) -> None:
    """Enroll the lead as a patient of a test course: every message once, a few seconds apart.

    The messages and their buttons are the real ones; each is marked as a test, and so is every
    alert that an answer raises.
    """
    lead = _lead(turn)
    version = await enrolling.usable_protocol(turn, name)
    if await plans.test_running(turn.session, lead.telegram_id or 0):
        raise CareError("test_running")
    patient = Patient(
        ref=new_ref(),
        clinic_id=lead.clinic_id,
        practitioner_id=lead.id or 0,
        telegram_id=lead.telegram_id,
        state=PatientState.ACTIVE,
        is_test=True,
        language=turn.clinic.language,
        timezone=turn.clinic.timezone,
        opened_at=turn.now,
        consented_at=turn.now,
        confirmed_at=turn.now,
        joined_at=turn.now,
        created_at=turn.now,
    )
    sealed.write(turn.session, patient, {"name": words.name_of(turn.session, lead)})
    turn.session.add(patient)
    await turn.session.flush()
    turn.session.add(
        Consent(
            patient_id=patient.id or 0,
            purpose=accounts.REMINDERS,
            text_version="test",
            language=patient.language,
            given_at=turn.now,
        )
    )
    await turn.tell(
        lead, "practitioner/test_started", {"patient": words.name_of(turn.session, lead)}
    )
    await enrolling.test_course(turn, patient, version)


async def stand_in_again(turn: Turn) -> bool:
    """Let a lead who types what a test asked for act as its patient; say whether there is one."""
    turn.patient = await people.newest_test_patient(turn.session, turn.account.id)
    return turn.patient is not None


async def stand_in(turn: Turn) -> None:
    """Let a lead who taps a button under a test's message act as the patient of that test."""
    if turn.practitioner is None or turn.message_id is None:
        return
    message = await messages.message_in_chat(turn.session, turn.account.id, turn.message_id)
    if message is None or message.practitioner_id is not None or message.patient_id is None:
        return
    patient = await people.patient(turn.session, message.patient_id)
    if patient.is_test:
        turn.patient = patient


async def show_team(turn: Turn) -> None:
    """Show who works with the bot; the lead may invite."""
    practitioner = enrolling.lead_or_practitioner(turn)
    everybody = await people.practitioners(turn.session, turn.clinic.id or 0)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    rows = []
    if practitioner.role == LEAD:
        photos, switch = (
            ("clinic_photos_off", OFF) if turn.clinic.photos_on else ("clinic_photos_on", ON)
        )
        rows = [
            [Button(label="invite_practitioner", data=buttons.pack("invite", PRACTITIONER))],
            [Button(label="read_protocols", data=buttons.pack("protocols"))],
            [Button(label="test_the_chain", data=buttons.pack("drill"))],
            [Button(label=photos, data=buttons.pack("clinicphotos", switch))],
            *[
                [
                    Button(
                        text=words.name_of(turn.session, each),
                        data=buttons.pack("member", each.ref),
                    )
                ]
                for each in everybody
            ],
        ]
    await turn.screen(
        "practitioner/team",
        {
            "team": [
                {
                    "name": words.name_of(turn.session, each),
                    "role": catalogue.label(language, "roles", each.role),
                    "on_call": each.is_on_call,
                    "backup": each.is_backup,
                }
                for each in everybody
            ],
            "live": turn.clinic.live_at is not None,
            "photos_asked": turn.clinic.photos_on,
        },
        rows,
    )


async def switch_photos(turn: Turn, way: str) -> None:
    """Have patients asked for photos, or none of them, and show the team again.

    Switched off, what patients send still reaches a person, and nothing more is kept. What was
    kept before stays for its time.
    """
    _lead(turn)
    if way not in (ON, OFF) or turn.clinic.photos_on is (way == ON):
        raise StaleButton
    turn.clinic.photos_on = way == ON
    turn.session.add(turn.clinic)
    await show_team(turn)


async def invite(turn: Turn, role: str) -> None:
    """Make a one-time link for a colleague."""
    lead = _lead(turn)
    if role != PRACTITIONER:
        raise StaleButton
    latest = await people.latest_team_invitation_at(turn.session, lead.id or 0)
    if latest is not None and turn.now - latest < invitations.DOUBLE_TAP:
        raise StaleButton
    address = await invitations.for_practitioner(turn.session, turn.clinic, role, lead.id, turn.now)
    await outbox.to_practitioner(
        turn.session,
        lead,
        "practitioner/invite_link",
        turn.now,
        language=turn.clinic.language,
        values={
            "link": address,
            "link_hours": int(invitations.PRACTITIONER_LIFE / timedelta(hours=1)),
        },
        rows=[[Button(label="copy_link", copies=address)]],
        method="photo",
        file=address,
    )


async def remove(turn: Turn, ref: str) -> None:
    """End a colleague's access at once; their patients move to the lead."""
    lead = _lead(turn)
    everybody = await people.practitioners(turn.session, turn.clinic.id or 0)
    leaver = next((each for each in everybody if each.ref == ref and each.role != LEAD), None)
    if leaver is None:
        raise StaleButton
    await colleagues.replace(turn, leaver, lead)
    await turn.screen(
        "practitioner/removed",
        {"name": words.name_of(turn.session, leaver)},
    )
