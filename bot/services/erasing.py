"""A patient's data erased by their own word: at once, in one commit, and from older backups too."""

import asyncio
import json
import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, PatientState, Reason, ReminderState
from bot.domain.times import QuietHours
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import outbox, own_name, own_settings, team, words
from bot.services.deps import Deps, new_ref
from bot.services.planning import replan
from bot.services.turn import Turn
from bot.storage import erased, sealed
from bot.storage.database import Priority
from bot.storage.photos import FOLDER
from bot.storage.queries import erasing, people, plans, vitals
from bot.storage.tables import Message, Patient

log = logging.getLogger(__name__)

GOODBYE = "patient/erased"
# A vital sign for each patient of whom something outside the database is still to be done.
_MARK = "erased:"
_ARMED, _ARMED_FOR = "erase", timedelta(minutes=15)


def _row(label: str, answer: str) -> list[Button]:
    return [Button(label=label, data=buttons.pack("erase", answer))]


async def ask(turn: Turn) -> None:
    """Say what would be deleted; whoever has an open report is told to call first."""
    await _ask(turn, "patient/erase", _row("erase_my_data", "yes"))


async def ask_again(turn: Turn) -> None:
    """Ask once more, as it cannot be undone; the answer counts for a quarter of an hour."""
    await turn.await_text(_ARMED, until=(turn.now + _ARMED_FOR).isoformat())
    await _ask(turn, "patient/erase_again", _row("erase_for_ever", "ever"))


async def _ask(turn: Turn, template: str, yes: list[Button]) -> None:
    patient = own_settings.asking(turn)
    if patient.confirmed_at is None:
        # What is held may be somebody else's: this account can only let go of it.
        await own_name.ask_not_me(turn)
        return
    open_report = await erasing.open_report(turn.session, patient.id or 0)
    await turn.tell_patient(
        patient,
        template,
        {"open_report": open_report},
        [
            yes,
            _row("keep_my_data", "keep"),
            [Button(label="something_wrong", data=buttons.pack("wrong"))],
        ],
    )


async def keep(turn: Turn) -> None:
    """Leave everything as it is."""
    await turn.await_text("")
    await turn.tell_patient(own_settings.asking(turn), "patient/erase_kept")


async def erase(turn: Turn) -> None:
    """Erase all that is held on the asking patient; the clinic hears that somebody did.

    Asked once more when the question was not asked just now: the button stays on the phone.
    """
    patient = own_settings.asking(turn)
    if patient.confirmed_at is None:
        await own_name.let_go(turn)
        return
    awaiting, notes = await turn.awaiting()
    if awaiting != _ARMED or turn.now > datetime.fromisoformat(notes["until"]):
        await ask_again(turn)
        return
    treating = await team.responders(turn.session, patient)
    for card in (*await erasing.same_account(turn.session, patient), patient):
        await forget(turn.session, card, turn.now, handling=turn.update_id)
    for practitioner in treating:
        await turn.tell(practitioner, "practitioner/patient_erased", lane=Lane.CARE)
    # To an account that is nobody's from here on; its number goes once this has left.
    turn.session.add(
        Message(
            ref=new_ref(),
            clinic_id=patient.clinic_id,
            chat_id=turn.account.id,
            lane=Lane.REPLY,
            template=GOODBYE,
            language=patient.language,
            queued_at=turn.now,
            due_at=turn.now,
            expires_at=turn.now + outbox.REPLY_LIFE,
        )
    )
    await turn.session.flush()


async def forget(
    session: AsyncSession, patient: Patient, now: datetime, *, handling: int = 0
) -> None:
    """Empty everything that is held on a patient; a bare ledger of refs, times and states stays."""
    patient_id, chat_id = patient.id or 0, patient.telegram_id
    name = words.name_of(session, patient)
    photos = await erasing.photo_refs(session, patient_id)
    patient.state, patient.telegram_id = PatientState.ERASED, None
    patient.timezone = patient.paused_until = None
    patient.quiet_start, patient.quiet_end = QuietHours().start, QuietHours().end
    sealed.write(session, patient, {})
    session.add(patient)
    await people.close_invitations(session, patient_id, now)
    await replan(session, patient_id, now)
    in_doubt = await erasing.drop_waiting(session, patient_id, chat_id)
    await plans.finish_reminders(
        session, in_doubt, ReminderState.UNDELIVERED, Reason.UNCONFIRMED, now
    )
    await erasing.end_visits(session, patient_id)
    await erasing.empty(session, patient_id, chat_id, now, handling=handling)
    await erasing.empty_screens(session, patient.clinic_id)
    for dialogue in await erasing.dialogues_of_team(session, patient.clinic_id):
        noted = json.dumps(sealed.read(session, dialogue), ensure_ascii=False)
        if patient.ref in noted or name in noted:
            await session.delete(dialogue)
    await vitals.put(session, f"{_MARK}{patient.ref}", json.dumps(photos))
    await session.flush()
    log.info("a patient's data were erased", extra={"action": "erased", "patient": patient.ref})


async def again(session: AsyncSession, refs: Collection[str], now: datetime) -> int:
    """Erase these patients where an older copy of the data has brought them back."""
    found = await erasing.present(session, refs) if refs else ()
    for patient in found:
        await forget(session, patient, now)
    return len(found)


async def look_again(deps: Deps) -> None:
    """Erase whom the list beside the database names: any program may have put them back."""
    refs = erased.read(deps.data_dir)
    async with deps.database.read() as session:
        if not refs or not await erasing.present(session, refs):
            return
    async with deps.database.write() as session:
        count = await again(session, refs, deps.clock.now())
    log.warning("erased again after a restore", extra={"action": "erased_again", "count": count})


async def unfinished(session: AsyncSession) -> set[str]:
    """Return the references of the erased whom the list beside the database may not name yet."""
    return {key.removeprefix(_MARK) for key in await erasing.marks(session, _MARK)}


def waits(_now: datetime) -> ColumnElement[bool]:
    """Whether an erasure has not been finished outside the database."""
    return vitals.any_under(_MARK)


async def finish(deps: Deps, _now: datetime) -> int:
    """Do what an erasure needs outside the database; a kill in between leaves it to the next time.

    The list by which a restore knows, the photos' files, and SQLite's log of what was before.
    """
    async with deps.database.read() as session:
        marks = await erasing.marks(session, _MARK)
    if not marks:
        return 0
    await asyncio.to_thread(_outside, deps.data_dir, marks)
    async with deps.database.read() as session:
        if await erasing.goodbye_waits(session, GOODBYE):
            return 0
    if not await deps.database.fold_log():
        return 0
    async with deps.database.write(Priority.PLAN) as session:
        await vitals.forget(session, list(marks))
    return len(marks)


def _outside(folder: Path, marks: dict[str, str]) -> None:
    erased.add(folder, [key.removeprefix(_MARK) for key in marks])
    photos = {ref for mark in marks.values() for ref in json.loads(mark)}
    if photos and (folder / FOLDER).is_dir():
        for file in (folder / FOLDER).iterdir():
            if file.stem in photos:
                file.unlink(missing_ok=True)
