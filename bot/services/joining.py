"""The patient's side of joining: is that you, consent, time zone, and then the plan begins."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.domain import zones
from bot.domain.protocol import Kind
from bot.domain.states import PatientState, ReminderState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import (
    accounts,
    colleagues,
    dispatch,
    invitations,
    menus,
    outbox,
    photo_consent,
    reach,
    situation,
    team,
    words,
)
from bot.services.errors import CareError, StaleButton
from bot.services.planning import new_round, replan
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import people
from bot.storage.tables import Consent, Patient

_CLOCKS_A_ROW = 4


async def open_link(turn: Turn, code: str) -> None:
    """Link the account to whom the invitation is for; ``CareError`` when it does not work."""
    invitation = await invitations.find(turn.session, turn.clinic, code, turn.now)
    if invitation.patient_id is None:
        await colleagues.open_link(turn, invitation)
        return
    if turn.practitioner is not None:
        # The link stays good: a practitioner who tries it must not use it up.
        raise CareError("link_for_patient")
    before = turn.patient
    if before is not None and not await accounts.makes_way(turn, before, invitation.patient_id):
        await _already(turn, before)
        return
    # Before the link is used: whoever makes a new one takes the patient first, too.
    patient = await people.locked_patient(turn.session, invitation.patient_id)
    if not await people.use_invitation(turn.session, invitation.id or 0, turn.now):
        raise CareError("link_invalid")
    if patient.telegram_id is not None or patient.joined_at is not None:
        # Another phone or account: from now on the one before hears nothing.
        await accounts.unlink(turn, patient)
        await replan(turn.session, patient.id or 0, turn.now)
    if before is not None:
        await accounts.set_aside(turn, before, patient)
    patient.telegram_id = turn.account.id
    patient.state = PatientState.OPENED
    patient.opened_at = turn.now
    if turn.account.language_code in turn.deps.catalogue.languages:
        patient.language = turn.account.language_code
    if not turn.clinic.confirm_joining:
        patient.confirmed_at = turn.now
    kept = sealed.read(turn.session, patient)
    account = {"account": turn.account.name, "username": turn.account.username}
    sealed.write(turn.session, patient, kept | account)
    turn.session.add(patient)
    await turn.session.flush()
    turn.patient = patient
    await _ask_who(turn, patient)
    if turn.clinic.confirm_joining:
        await reach.ask_to_confirm(turn.session, turn.clinic, patient, turn.now)


async def _already(turn: Turn, patient: Patient) -> None:
    """Tell both sides that somebody enrolled opened a link for a new patient; it stays good."""
    await turn.tell_patient(patient, "errors/already_patient")
    await _tell_clinic(
        turn,
        patient,
        "practitioner/already_patient",
        rows=[[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
    )


async def _tell_clinic(
    turn: Turn,
    patient: Patient,
    template: str,
    values: Mapping[str, object] | None = None,
    rows: outbox.Rows = (),
) -> None:
    """Tell whoever treats the patient, or somebody else when Telegram does not reach them."""
    for practitioner in await team.responders(turn.session, patient):
        await turn.tell(
            practitioner,
            template,
            {"patient": words.name_of(turn.session, patient), **(values or {})},
            rows,
            patient=patient,
        )


def _joining(turn: Turn) -> Patient:
    if turn.patient is None or turn.patient.state is not PatientState.OPENED:
        raise StaleButton
    return turn.patient


async def go_on(turn: Turn) -> None:
    """Ask again what joining waits for; nothing of the plan is said before it is complete."""
    patient = _joining(turn)
    if patient.consented_at is None:
        await _ask_who(turn, patient)
    elif patient.timezone is None:
        await _ask_zone(turn, patient)
    else:
        await turn.tell_patient(patient, "patient/waiting", menu=menus.PATIENT)


async def _ask_who(turn: Turn, patient: Patient) -> None:
    await turn.tell_patient(
        patient,
        "patient/hello",
        rows=[
            [Button(label="yes_that_is_me", data=buttons.pack("me", "yes"))],
            [Button(label="wrong_person", data=buttons.pack("me", "no"))],
        ],
    )


async def that_is_me(turn: Turn) -> None:
    """Show the consent; nothing about the treatment is said before the yes."""
    patient = _joining(turn)
    if patient.consented_at is not None:
        await go_on(turn)
        return
    await turn.tell_patient(
        patient,
        "patient/consent",
        rows=[
            [Button(label="agree_adult", data=buttons.pack("agree"))],
            [Button(label="read_more", data=buttons.pack("more"))],
            [Button(label="no_thanks", data=buttons.pack("refuse"))],
        ],
    )


async def wrong_person(turn: Turn) -> None:
    """Unlink the account, keep nothing of it, and tell the practitioner."""
    patient = _joining(turn)
    await turn.tell_patient(patient, "patient/wrong_person")
    await _tell_clinic(
        turn,
        patient,
        "practitioner/wrong_person",
        rows=[[Button(label="new_link", data=buttons.pack("link", patient.ref))]],
    )
    await turn.session.flush()
    # Photos of before stay: whoever a link reached by mistake decides nothing about the patient's.
    await accounts.unlink(turn, patient)


async def read_more(turn: Turn) -> None:
    """Show what is kept and for how long, with the same choice below."""
    patient = _joining(turn)
    await turn.tell_patient(
        patient,
        "patient/consent_more",
        rows=[
            [Button(label="agree_adult", data=buttons.pack("agree"))],
            [Button(label="no_thanks", data=buttons.pack("refuse"))],
        ],
    )


async def refuse(turn: Turn) -> None:
    """Note the no, also after a yes; the clinic sees "declined" and nothing else is kept."""
    patient = _joining(turn)
    await turn.tell_patient(patient, "patient/refused")
    await _tell_clinic(turn, patient, "practitioner/declined")
    await turn.session.flush()
    await photo_consent.withdraw(turn, patient)
    await accounts.unlink(turn, patient)
    patient.state = PatientState.DECLINED
    turn.session.add(patient)


async def agree(turn: Turn) -> None:
    """Store the yes with the version and language of its text, then ask for the time zone."""
    patient = _joining(turn)
    if patient.consented_at is not None:
        await go_on(turn)
        return
    written_in = turn.deps.texts.language_of(patient.language, "patient/consent")
    turn.session.add(
        Consent(
            patient_id=patient.id or 0,
            purpose=accounts.REMINDERS,
            text_version=turn.deps.texts.version(written_in, "patient/consent"),
            language=written_in,
            given_at=turn.now,
        )
    )
    patient.consented_at = turn.now
    turn.session.add(patient)
    await _ask_zone(turn, patient)


async def _ask_zone(turn: Turn, patient: Patient) -> None:
    here = turn.now.astimezone(turn.clinic_zone).time()
    await turn.tell_patient(
        patient,
        "patient/time_zone",
        {"now_hhmm": dates.clock(here)},
        [
            [Button(label="yes", data=buttons.pack("zone", "clinic"))],
            [Button(label="no_change_it", data=buttons.pack("zone", "other"))],
        ],
    )


async def offer_clocks(turn: Turn) -> None:
    """Show the local times that it is now somewhere; one of them is the patient's."""
    patient = _consented(turn)
    await turn.tell_patient(
        patient, "patient/time_zone_offsets", rows=clock_rows(turn.now, "clock")
    )


def clock_rows(now: datetime, action: str) -> list[list[Button]]:
    """Return a button for each local time that it is now somewhere."""
    choices = [
        Button(
            text=dates.clock(zones.clock_at(minutes, now)),
            data=buttons.pack(action, str(minutes)),
        )
        for minutes in zones.offsets(now)
    ]
    return [choices[at : at + _CLOCKS_A_ROW] for at in range(0, len(choices), _CLOCKS_A_ROW)]


async def offer_cities(turn: Turn, offset: str) -> None:
    """Show cities with that time, so that clock changes come out right."""
    patient = _consented(turn)
    rows = city_rows(turn.now, offset, patient.language, "city")
    await turn.tell_patient(patient, "patient/time_zone_city", rows=rows)


def city_rows(now: datetime, offset: str, language: str, action: str) -> list[list[Button]]:
    """Return a button for each city with that time; an offset that no clock has is stale."""
    try:
        found = zones.zones_at(int(offset), now)
    except ValueError:
        raise StaleButton from None
    if not found:
        raise StaleButton
    return [
        [
            Button(
                text=words.city(name, language),
                data=buttons.pack(action, str(zones.OFFERED.index(name))),
            )
        ]
        for name in found
    ]


def zone_of(choice: str) -> str:
    """Return the zone that a city's button stands for; anything else is stale."""
    offered = {str(number): name for number, name in enumerate(zones.OFFERED)}
    if choice not in offered:
        raise StaleButton
    return ZoneInfo(offered[choice]).key


async def take_zone(turn: Turn, choice: str) -> None:
    """Keep the patient's zone; with consent and confirmation the plan then begins."""
    patient = _consented(turn)
    name = turn.clinic.timezone if choice == "clinic" else zone_of(choice)
    patient.timezone = ZoneInfo(name).key
    turn.session.add(patient)
    if patient.state is PatientState.ACTIVE:
        whole = await replan(turn.session, patient.id or 0, turn.now)
        await turn.tell_patient(
            patient,
            "patient/time_zone_kept",
            {
                "city": words.city(name, patient.language),
                "next_date": words.next_date(whole, turn.now),
            },
        )
    elif not await join_if_ready(turn, patient):
        await turn.tell_patient(patient, "patient/waiting", menu=menus.PATIENT)


def _consented(turn: Turn) -> Patient:
    patient = turn.patient
    if patient is None or patient.consented_at is None:
        raise StaleButton
    if patient.state not in (PatientState.OPENED, PatientState.ACTIVE):
        raise StaleButton
    told = patient.timezone is not None and patient.timezone != turn.clinic.timezone
    if patient.state is PatientState.ACTIVE and told:
        # A plan that began in the clinic's zone may still be put right; a told zone is settled.
        raise StaleButton
    return patient


async def join_if_ready(turn: Turn, patient: Patient) -> bool:
    """Begin the plan once there is consent, confirmation and a zone; say whether it began."""
    ready = patient.consented_at and patient.confirmed_at and patient.timezone
    if not ready or patient.state is not PatientState.OPENED:
        return False
    patient.state = PatientState.ACTIVE
    patient.joined_at = turn.now
    turn.session.add(patient)
    if accounts.settle(turn, patient):
        await _card_again(turn, patient)
    whole = await replan(turn.session, patient.id or 0, turn.now)
    await turn.tell_patient(
        patient,
        "patient/welcome",
        {"next_date": words.next_date(whole, turn.now)},
        menu=menus.PATIENT,
    )
    await dispatch.dispatch(turn.session, [patient.id or 0], turn.now)
    await _tell_clinic(
        turn,
        patient,
        "practitioner/joined",
        {
            "card_now": _card_goes(whole, turn.now),
            "before_session": all(plan.latest is None for plan in whole.courses),
        },
        rows=[[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
    )
    return True


async def _card_again(turn: Turn, patient: Patient) -> None:
    """Let the card of the latest session come once more: the new account has none."""
    whole = await situation.read(turn.session, patient.id or 0)
    for plan in whole.running():
        if plan.latest is not None:
            plan.latest.corrected = False
            await new_round(turn.session, plan.latest)


def _card_goes(whole: Situation, now: datetime) -> bool:
    """Say whether a care card is due now; there is none when every limit was over before."""
    return any(
        row.state is ReminderState.PLANNED
        and row.due_at is not None
        and row.due_at <= now
        and Kind.CARD in whole.plan_of(row.visit_id).protocol.step(row.step).kinds
        for row in whole.reminders
    )
