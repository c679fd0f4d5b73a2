"""The team's own links: who lets in a practitioner or a lead, and whom they replace."""

from bot.domain.states import Lane
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import menus, reach, words
from bot.services.deps import new_ref
from bot.services.errors import CareError, NotAllowed
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import alerts, people
from bot.storage.tables import Alert, Invitation, Practitioner


async def open_link(turn: Turn, invitation: Invitation) -> None:
    """Let the account in as a practitioner or lead; ``CareError`` when the link is not for it."""
    if turn.patient is not None:
        raise NotAllowed
    leads = invitation.role == "lead"
    if turn.practitioner is not None and not (leads and turn.practitioner.role != "lead"):
        # A lead who tries the link must neither use it up nor become what it makes of others.
        raise CareError("link_for_colleague")
    if not await people.use_invitation(turn.session, invitation.id or 0, turn.now):
        raise CareError("link_invalid")
    known = await people.practitioner_with_any_state(turn.session, turn.account.id)
    practitioner = known or Practitioner(
        ref=new_ref(),
        clinic_id=turn.clinic.id or 0,
        telegram_id=turn.account.id,
        created_at=turn.now,
    )
    practitioner.role = invitation.role or "practitioner"
    practitioner.removed_at = practitioner.unreachable_at = None
    sealed.write(
        turn.session,
        practitioner,
        {
            "name": turn.account.first_name or turn.account.username,
            "username": turn.account.username,
        },
    )
    turn.session.add(practitioner)
    await turn.session.flush()
    turn.practitioner = practitioner
    await turn.tell(practitioner, "practitioner/menu", menu=menus.PRACTITIONER)
    rows = [[Button(label="read_protocols", data=buttons.pack("protocols"))]] if leads else []
    await turn.tell(
        practitioner, "practitioner/welcome_lead" if leads else "practitioner/welcome", rows=rows
    )
    if leads:
        # The account that led before is lost, or somebody else's: it opens no door any more.
        await people.close_team_invitations(turn.session, turn.clinic.id or 0, turn.now)
        for other in await people.practitioners(turn.session, turn.clinic.id or 0):
            if other.role == "lead" and other.id != practitioner.id:
                await replace(turn, other, practitioner)


async def replace(turn: Turn, leaver: Practitioner, heir: Practitioner) -> None:
    """End a practitioner's access at once; their patients and open reports move to ``heir``."""
    leaver.removed_at = turn.now
    turn.session.add(leaver)
    waiting = await people.unconfirmed_of(turn.session, leaver.id or 0)
    await people.move_patients(turn.session, leaver.id or 0, heir.id or 0)
    for patient in waiting:
        # Whoever was asked is gone; the patient must not wait for an answer that cannot come.
        patient.practitioner_id = heir.id or 0
        await reach.ask_to_confirm(turn.session, turn.clinic, patient, turn.now)
    for alert in await alerts.taken_by(turn.session, leaver.id or 0):
        await _hand_over(turn, alert, heir)


async def _hand_over(turn: Turn, alert: Alert, heir: Practitioner) -> None:
    alert.acked_by = heir.id
    turn.session.add(alert)
    alerts.note(turn.session, alert, "handed_over", turn.now, heir.id)
    patient = await people.patient(turn.session, alert.patient_id)
    name = words.name_of(turn.session, heir)
    await turn.tell(
        heir,
        "alerts/acknowledged",
        {
            "patient": words.name_of(turn.session, patient),
            "owner": name,
            "yours": True,
            "is_test": patient.is_test,
        },
        [
            [Button(label="close_report", data=buttons.pack("close", alert.ref))],
            [Button(label="open_card", data=buttons.pack("card", patient.ref))],
        ],
        patient=patient,
        lane=Lane.DANGER,
        report=alert.ref,
    )
