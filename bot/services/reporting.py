"""A report from its first tap to its level: which list is shown, what was picked, what follows.

Every tap is on record at once. A report that stops half-way counts at the level that it has
reached, and never below *tell clinic* (clinical.md 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import triage, typed
from bot.domain.states import AlertState, Lane, Level, PatientState
from bot.domain.triage import GROUPS, NOTHING_EXPECTED, Group, Trend
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import alerting, situation, words
from bot.services.apart import alone
from bot.services.deps import Deps, new_ref
from bot.services.errors import CareError, StaleButton
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import alerts, people
from bot.storage.tables import Alert, Patient, Reminder, Report

# Whoever stops half-way may not be able to go on: then a person is told without waiting longer.
HALF_WAY = timedelta(minutes=3)
# Two taps of one finger begin one report.
SAME_TAP = timedelta(seconds=10)
DONE, SLIP = "done", "slip"
_FEVER = {"fever_yes": "sepsis_signs", "fever_unsure": "sepsis_signs", "fever_no": "fever_or_ill"}
_SIGHT = {
    "sight_lost": "sight_loss",
    "sight_unsure": "sight_loss",
    "sight_blur": "sight_blur_double",
}
_AT_ONCE = (Group.BREATHING, Group.FAINT)
_QUESTIONS = {
    Group.FEVER: ("patient/pick_fever", tuple(_FEVER)),
    Group.SIGHT: ("patient/pick_sight", tuple(_SIGHT)),
}
_LISTS = {Group.PAIN: "patient/pick_pain", Group.MILDER: "patient/pick_milder"}
KEYS = frozenset({*Group, *triage.SIGNS, *_FEVER, *_SIGHT, DONE, SLIP})
"""What a button of a report may carry."""

DANGER = frozenset(
    {*_AT_ONCE, Group.SIGHT, Group.PAIN, Group.FEVER, *_FEVER, *_SIGHT, *GROUPS[Group.PAIN]}
)
"""Of these, the ones that report danger."""

# How a report began, where that alone says that something is urgent if nothing more is picked: a
# list of warning signs was answered with yes, or "Something is wrong" was followed by silence.
CHECK, WRONG = "warning_sign", "something_wrong"
_URGENT_BY_ITSELF = (CHECK, WRONG)


@dataclass(slots=True)
class _Said:
    """What a report holds: how it began, what was answered, which list is open."""

    why: str
    answers: list[str] = field(default_factory=list)
    trend: Trend | None = None
    # A key of the first list whose signs were not told apart yet.
    pending: str = ""


def _read(session: AsyncSession, report: Report) -> _Said:
    kept = sealed.read(session, report)
    trend = kept.get("trend")
    return _Said(
        kept.get("why", WRONG),
        list(kept.get("answers", [])),
        Trend(trend) if trend else None,
        kept.get("pending", ""),
    )


def _write(session: AsyncSession, report: Report, said: _Said) -> None:
    values = {
        "why": said.why,
        "answers": said.answers,
        "trend": said.trend.value if said.trend else "",
        "pending": said.pending,
    }
    sealed.write(session, report, {key: value for key, value in values.items() if value})
    session.add(report)


async def something_wrong(turn: Turn) -> None:
    """Open a report because the patient says that something is wrong; good in every state."""
    if turn.patient is None:
        # Whoever looks for help here reads the phone numbers at least.
        raise CareError("no_invitation")
    await begin(turn, turn.patient, WRONG)


async def of_trend(turn: Turn, patient: Patient, trend: Trend, reminder: Reminder) -> None:
    """Take a trend that needs no list: its level counts at once."""
    report = await _open(turn, patient, "check", reminder, trend)
    await finish(turn, patient, report)


async def begin(
    turn: Turn,
    patient: Patient,
    why: str,
    *,
    reminder: Reminder | None = None,
    trend: Trend | None = None,
) -> None:
    """Open a report and show the first list; the phone numbers stand above it.

    Works in every state: also after STOP, in quiet hours, after the plan's end and before anybody
    confirmed the account.
    """
    before = await alerts.open_report(turn.session, patient.id or 0)
    if before is not None:
        if turn.now - before.opened_at < SAME_TAP:
            await _begun_again(turn, patient, before, why, trend)
            return
        # Begun anew, so nothing more comes of the one before: it stopped half-way.
        await finish(turn, patient, before, half_way=True)
    report = await _open(turn, patient, why, reminder, trend)
    await _show_first(turn, patient, report)


async def _begun_again(
    turn: Turn, patient: Patient, report: Report, why: str, trend: Trend | None
) -> None:
    """Show the first list once more; what the second tap says of how it began counts too."""
    said = _read(turn.session, report)
    if why in _URGENT_BY_ITSELF:
        said.why = why
    said.trend = said.trend or trend
    _write(turn.session, report, said)
    await _show_first(turn, patient, report)


async def _open(
    turn: Turn,
    patient: Patient,
    why: str,
    reminder: Reminder | None = None,
    trend: Trend | None = None,
) -> Report:
    whole = await situation.read(turn.session, patient.id or 0)
    recent = whole.recent(turn.now)
    report = Report(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        visit_id=recent[0].visit.id if recent else None,
        reminder_id=reminder.id if reminder else None,
        day=whole.day_after(recent[0], turn.now) if recent else None,
        opened_at=turn.now,
        due_at=turn.now + HALF_WAY,
    )
    _write(turn.session, report, _Said(why, trend=trend))
    await turn.session.flush()
    return report


def _data(report: Report, key: str) -> str:
    return buttons.pack("sign", report.ref, key)


async def _show_first(turn: Turn, patient: Patient, report: Report) -> None:
    said = _read(turn.session, report)
    rows = [[Button(label=group.value, data=_data(report, group.value))] for group in Group]
    if said.why == WRONG:
        rows.append([Button(label=SLIP, data=_data(report, SLIP))])
    await turn.await_text("report")
    closed = {"closed": await alerting.is_closed(turn, patient)}
    await turn.tell_patient(patient, "patient/pick", closed, rows, lane=Lane.DANGER)


async def pick(turn: Turn, ref: str, key: str) -> None:
    """Take one tap of a report; on one that is finished it begins a report of its own.

    Buttons stay good for ever. One that is not this person's, or names nothing, is stale.
    """
    if key not in KEYS:
        raise StaleButton
    report = await alerts.report_by_ref(turn.session, ref)
    patient = turn.patient
    if patient is None or (report is not None and report.patient_id != patient.id):
        raise StaleButton
    if report is None or report.ended_at is not None:
        # A restored database may not know it. What it says now counts now.
        if key in (DONE, SLIP):
            raise StaleButton
        report = await _open(turn, patient, WRONG if report is None else "worse_again")
    report.due_at = turn.now + HALF_WAY
    said = _read(turn.session, report)
    if key == SLIP:
        await _slip(turn, patient, report, said)
    elif key == DONE:
        await finish(turn, patient, report)
    elif key in set(Group):
        await _group(turn, patient, report, said, Group(key))
    else:
        await _sign(turn, patient, report, said, key)


async def _slip(turn: Turn, patient: Patient, report: Report, said: _Said) -> None:
    """End a report in which nothing was said; a report that says something cannot be a slip."""
    if said.answers or said.pending or report.level is not None:
        raise StaleButton
    # Without a level it says nothing: whoever owes an answer still owes it.
    report.due_at, report.ended_at = None, turn.now
    turn.session.add(report)
    await turn.await_text("")
    await turn.tell_patient(patient, "patient/slip", rows=[wrong_row()])


def _keep_pending(said: _Said, key: str) -> None:
    """Keep a key of the first list as said, unless this tap tells which of its signs it is.

    An answer can only raise: a question that is still open is not taken back by another tap.
    """
    if said.pending and key != said.pending and key not in GROUPS[Group(said.pending)]:
        said.answers.append(said.pending)
    said.pending = ""


async def _group(turn: Turn, patient: Patient, report: Report, said: _Said, group: Group) -> None:
    _keep_pending(said, group.value)
    whole = await situation.read(turn.session, patient.id or 0)
    asks_sight = any(done.protocol.triage.asks_about_sight for done in whole.recent(turn.now))
    if group in _AT_ONCE or (group is Group.SIGHT and not asks_sight):
        said.answers.append(group.value)
        _write(turn.session, report, said)
        await finish(turn, patient, report)
        return
    said.pending = group.value
    _write(turn.session, report, said)
    if group in _QUESTIONS:
        template, keys = _QUESTIONS[group]
        rows = [[Button(label=key, data=_data(report, key))] for key in keys]
        await turn.tell_patient(patient, template, rows=rows, lane=Lane.DANGER)
        return
    await _show_list(turn, patient, report, said, group)


async def _show_list(
    turn: Turn, patient: Patient, report: Report, said: _Said, group: Group, *, edit: bool = False
) -> None:
    catalogue, language = turn.deps.catalogue, patient.language
    left = [sign for sign in GROUPS[group] if sign not in said.answers]
    rows = [
        [Button(text=catalogue.label(language, "sign_buttons", sign), data=_data(report, sign))]
        for sign in left
    ]
    rows.append([Button(label=DONE, data=_data(report, DONE))])
    picked = [sign for sign in GROUPS[group] if sign in said.answers]
    values: dict[str, Any] = {
        "picked": [catalogue.label(language, "signs", sign) for sign in picked],
        "closed": await alerting.is_closed(turn, patient),
    }
    show = turn.own_screen if edit else turn.tell_patient
    await show(patient, _LISTS[group], values, rows, lane=Lane.DANGER)


async def _sign(turn: Turn, patient: Patient, report: Report, said: _Said, key: str) -> None:
    sign = {**_FEVER, **_SIGHT}.get(key, key)
    if sign not in said.answers:
        said.answers.append(sign)
    _keep_pending(said, sign)
    _write(turn.session, report, said)
    group = next((each for each in _LISTS if key in GROUPS[each]), None)
    if group is None:
        # No list holds it: the answer to a question, or typed. It says enough to act on.
        await finish(turn, patient, report)
        return
    await _show_list(turn, patient, report, said, group, edit=True)
    if key in GROUPS[Group.PAIN]:
        # What to do now must not wait for "Done"; more may be picked after it.
        await _act(turn, patient, report, said)


async def words_of_danger(turn: Turn, patient: Patient, text: str) -> Alert:
    """Take words of danger that the patient wrote; return the alert that holds them.

    They end the report whose list is open: what was picked of it counts with them, as one report.
    An urgent alert that nobody has taken yet gets them added; what is worse is an alert of its own.
    """
    await people.locked_patient(turn.session, patient.id or 0)
    report = await alerts.open_report(turn.session, patient.id or 0)
    whole = await situation.read(turn.session, patient.id or 0)
    level, reported = Level.URGENT, [("reports", "emergency_word")]
    if report is not None:
        said = _read(turn.session, report)
        said.answers += [said.pending] if said.pending else []
        said.pending = ""
        _write(turn.session, report, said)
        level = triage.highest([level, _level(whole, said, turn.now, half_way=True)])
        report.due_at, report.ended_at, report.level = None, turn.now, level
        reported = [each for each in _reported(said) if each[0] != "reports"] + reported
    alert = await alerting.waiting(turn, patient)
    if alert is not None and triage.highest([alert.level, level]) is alert.level:
        anew = report is not None
        await alerting.also_written(turn, alert, patient, reported, text, anew=anew)
        return alert
    alert = await alerting.raise_alert(turn, patient, level, reported, report, quoted=text)
    if level is Level.EMERGENCY:
        await alerting.say_level(turn, patient, level, alert, whole)
    else:
        await alerting.send_note(turn, patient, alert, whole)
    return alert


async def finish(turn: Turn, patient: Patient, report: Report, *, half_way: bool = False) -> None:
    """End a report and act on the level that it has reached.

    What stopped ``half_way`` counts too, and is never less than *tell clinic*.
    """
    said = _read(turn.session, report)
    if said.pending:
        said.answers.append(said.pending)
        said.pending = ""
        _write(turn.session, report, said)
    report.due_at, report.ended_at = None, turn.now
    turn.session.add(report)
    awaiting, _ = await turn.awaiting()
    if awaiting == "report":
        await turn.await_text("")
    await _act(turn, patient, report, said, half_way=half_way)


async def _act(
    turn: Turn, patient: Patient, report: Report, said: _Said, *, half_way: bool = False
) -> None:
    """Do what the level asks for, once; a higher level than before is acted on anew."""
    whole = await situation.read(turn.session, patient.id or 0)
    level = _level(whole, said, turn.now, half_way=half_way)
    reported = _reported(said)
    before = report.level
    known = before is not None and triage.highest([before, level]) is before
    # What is said after its alert was closed is of a new one.
    if known and await _is_added(turn, patient, report, reported):
        return
    report.level = level
    turn.session.add(report)
    if level is Level.EXPECTED:
        await _expected(turn, patient, whole, said)
        return
    alert = await alerting.raise_alert(turn, patient, level, reported, report)
    await alerting.say_level(turn, patient, level, alert, whole)


async def _is_added(
    turn: Turn, patient: Patient, report: Report, reported: alerting.Reported
) -> bool:
    """Add what is new to the report's alert; say no when that alert has been closed before."""
    alert = await alerts.latest_of_report(turn.session, report.id or 0)
    if alert is None:
        return True
    known = sealed.read(turn.session, alert).get("reported", [])
    if known == [list(each) for each in reported]:
        return True
    if alert.state is AlertState.CLOSED:
        return False
    await alerting.also_reported(turn, alert, patient, reported)
    return True


def _level(whole: Situation, said: _Said, now: datetime, *, half_way: bool) -> Level:
    """Return what was reported amounts to, by the strictest table of all recent sessions."""
    recent = whole.recent(now)
    levels = [
        triage.level_of(done.protocol.triage, whole.day_after(done, now), said.answers, said.trend)
        for done in recent
    ] or [triage.level_of(NOTHING_EXPECTED, 0, said.answers, said.trend)]
    if not said.answers and (said.trend is None or said.why in _URGENT_BY_ITSELF):
        # Nothing was picked: what it began with counts.
        alone = Level.URGENT if said.why in _URGENT_BY_ITSELF else Level.TELL_CLINIC
        levels.append(alone)
    if half_way:
        levels.append(Level.TELL_CLINIC)
    return triage.highest(levels)


def _reported(said: _Said) -> list[tuple[str, str]]:
    found = [("signs", answer) for answer in said.answers]
    if said.trend is not None and said.trend is not Trend.BETTER:
        found.append(("trends", said.trend.value))
    return found or [("reports", said.why)]


async def _expected(turn: Turn, patient: Patient, whole: Situation, said: _Said) -> None:
    await turn.tell_patient(
        patient,
        "patient/better",
        {
            "expected_line": await expected_line(turn, whole, said.answers),
            "next_date": words.next_date(whole, turn.now),
        },
        [wrong_row()],
    )


async def expected_line(turn: Turn, whole: Situation, answers: Sequence[str] = ()) -> str | None:
    """Return what is common at this stage after the latest session, as a general fact.

    Nothing while anything is being reported, or was and nobody has closed it: it would reassure.
    """
    recent = whole.recent(turn.now)
    patient_id = whole.patient.id or 0
    if (
        not recent
        or await alerts.open_report(turn.session, patient_id) is not None
        or await alerts.open_of_patient(turn.session, patient_id)
    ):
        return None
    key = "bruise" if list(answers) == ["bruise"] else recent[0].protocol.full_name
    rendered = turn.deps.texts.render(
        whole.patient.language,
        f"patient/expected/{key}",
        await words.patient_values(turn.session, turn.clinic, whole.patient),
    )
    return rendered.text


def wrong_row() -> list[Button]:
    """Return the button that opens a report at any time."""
    return [Button(label="something_wrong", data=buttons.pack("wrong"))]


async def typed_sign(turn: Turn, text: str) -> bool:
    """Take a typed answer to an open list, by the words on its buttons; say whether it was one."""
    patient = turn.patient
    if patient is None:
        return False
    report = await alerts.open_report(turn.session, patient.id or 0)
    if report is None:
        return False
    key = _named(turn, patient, text)
    if not key:
        return False
    await pick(turn, report.ref, key)
    return True


def _named(turn: Turn, patient: Patient, text: str) -> str:
    """Return the key whose button reads like the text; nothing when there is none."""
    catalogue, language = turn.deps.catalogue, patient.language
    labels: dict[str, Any] = {
        **{key: catalogue.label(language, "buttons", key) for key in (*Group, DONE, SLIP)},
        **{key: catalogue.label(language, "buttons", key) for key in (*_FEVER, *_SIGHT)},
        **{sign: catalogue.label(language, "sign_buttons", sign) for sign in triage.SIGNS},
    }
    said = typed.simplified(text)
    # "Yes" and "no" answer several questions; only what is said whole names one of these.
    found = [key for key, label in labels.items() if typed.simplified(label) == said]
    return found[0] if len(found) == 1 else ""


async def finish_half_way(deps: Deps, now: datetime, since: datetime | None) -> int:
    """Finish the reports that stopped half-way; return how many there were."""
    async with deps.database.read() as session:
        due = await alerts.reports_due(session, now, since=since)
    for ref in due:
        async with deps.database.write(Priority.INBOX) as session:
            await alone(session, "finish_half_way", partial(_finish, session, deps, ref, now))
    if due:
        deps.bells.outbox.set()
    return len(due)


async def _finish(session: AsyncSession, deps: Deps, ref: str, now: datetime) -> int:
    report = await alerts.report_by_ref(session, ref)
    if report is None or report.due_at is None or report.due_at > now:
        return 0
    patient = await people.patient(session, report.patient_id)
    if patient.state is PatientState.ERASED:
        report.due_at, report.ended_at = None, now
        session.add(report)
        return 0
    clinic = await people.clinic(session, report.clinic_id)
    turn = Turn.by_the_clock(session, deps, clinic, patient, now)
    await finish(turn, patient, report, half_way=True)
    return 1
