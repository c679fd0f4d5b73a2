"""Who is speaking, and what they are told when something cannot be done or went wrong."""

from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import outbox, reports, situation, words
from bot.services.deps import Deps, new_ref
from bot.services.errors import CareError
from bot.services.turn import Account, Turn
from bot.storage import sealed
from bot.storage.queries import inbox, people, told
from bot.storage.tables import Message, Update

# An account that is nobody's costs the others no more of what Telegram lets us say than this.
_STRANGER_PAUSE = timedelta(seconds=10)
# A finger that slips taps the same button again within this time, and nothing in between.
_SLIP = timedelta(seconds=10)
_LINK_INVALID = "errors/link_invalid"
_FAILURES = 5
_FAILURES_WITHIN = timedelta(minutes=15)


async def open_turn(
    session: AsyncSession, deps: Deps, update_id: int, now: datetime, account: Account | None
) -> Turn | None:
    """Return the turn of an update, with the practitioner or patient who owns the account.

    Nothing before ``init``, for groups and for other bots.
    """
    clinic = await people.the_clinic(session)
    if clinic is None or account is None:
        return None
    return Turn(
        session=session,
        deps=deps,
        now=now,
        update_id=update_id,
        clinic=clinic,
        account=account,
        practitioner=await people.practitioner_by_account(session, account.id),
        patient=await people.patient_by_account(session, account.id),
    )


async def refuse(turn: Turn, refusal: CareError) -> None:
    """Answer what cannot be done with its one sentence; nothing else of the update stays."""
    values = dict(refusal.values)
    if refusal.template == "errors/stale_button":
        if await _tapped_twice(turn):
            return
        values |= {"next_date": None, "for_patient": turn.practitioner is None}
        if turn.patient is not None:
            whole = await situation.read(turn.session, turn.patient.id or 0)
            values["next_date"] = words.next_date(whole, turn.now)
        turn.toast = "too_old"
    await say(turn, refusal.template, values)


async def _tapped_twice(turn: Turn) -> bool:
    """Say whether the same button did its work seconds ago: its answer stands there already."""
    since = turn.now - _SLIP
    own = await inbox.take(turn.session, turn.update_id)
    last = await inbox.last_handled(turn.session, turn.account.id, since)
    if not turn.tapped or own is None or last is None or _tap(turn, last) != _tap(turn, own):
        return False
    refused = await told.refused_since(turn.session, turn.account.id, since)
    return last.handled_at not in refused


def _tap(turn: Turn, row: Update) -> tuple[object, object]:
    """Return which button of which message an update taps; nothings when it is no tap."""
    query = sealed.read(turn.session, row).get("callback_query") or {}
    return (query.get("message") or {}).get("message_id"), query.get("data")


async def _guesses(turn: Turn, template: str) -> bool:
    """Say whether the account was told often enough by now that its link does not work."""
    if template != _LINK_INVALID:
        return False
    since = turn.now - _FAILURES_WITHIN
    return await told.count_said(turn.session, turn.account.id, template, since) >= _FAILURES


async def say(turn: Turn, template: str, values: dict[str, object] | None = None) -> None:
    """Answer whoever speaks: a practitioner, a patient, or an account that is neither.

    Whoever guesses links, or is nobody's and talks without end, is not answered each time.
    """
    if await _guesses(turn, template):
        return
    if turn.practitioner is not None:
        await turn.tell(turn.practitioner, template, values)
    elif turn.patient is not None:
        wrong = [Button(label="something_wrong", data=buttons.pack("wrong"))]
        await turn.tell_patient(turn.patient, template, values, [wrong])
    else:
        await _to_stranger(turn, template, values or {})


async def _to_stranger(turn: Turn, template: str, values: dict[str, object]) -> None:
    since = turn.now - _STRANGER_PAUSE
    if await told.stranger_answered(turn.session, turn.account.id, since):
        return
    row = Message(
        ref=new_ref(),
        clinic_id=turn.clinic.id or 0,
        chat_id=turn.account.id,
        lane=Lane.REPLY,
        template=template,
        language=turn.clinic.language,
        queued_at=turn.now,
        due_at=turn.now,
        expires_at=turn.now + outbox.REPLY_LIFE,
    )
    sealed.write(turn.session, row, {"values": values} if values else {})
    turn.session.add(row)


async def apologise(turn: Turn, tapped: str = "", *, passes_on: bool = True) -> None:
    """Say that something failed, with the phone number; what a patient sent or tapped goes on."""
    await say(turn, "errors/something_failed")
    if turn.patient is None or not passes_on:
        return
    if tapped:
        await reports.pass_on(turn, "text", tapped)
    elif turn.message_id is not None:
        await reports.pass_on(turn, "other", attached=True)
