"""Trying the chain of alerts: a marked test alert to the whole team, and who took it when."""

from datetime import timedelta

from bot.domain.escalation import To
from bot.domain.states import AlertState, Level, PatientState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import alerting, words
from bot.services.deps import new_ref
from bot.services.enrolling import lead_or_practitioner
from bot.services.errors import CareError, NotAllowed, StaleButton
from bot.services.team import LEAD
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import alerts, people
from bot.storage.tables import Alert, Patient

# One that runs says enough; a second beside it would only confuse whoever is called.
_APART = timedelta(minutes=10)


async def start(turn: Turn) -> None:
    """Raise a marked test alert to everybody at once; it repeats like a real one until taken."""
    lead = lead_or_practitioner(turn)
    if lead.role != LEAD:
        raise NotAllowed
    latest = await alerts.latest_drill(turn.session, turn.clinic.id or 0)
    if latest is not None and latest.state is AlertState.OPEN:
        if turn.now - latest.opened_at < _APART:
            raise CareError("drill_running")
        await alerts.close(turn.session, latest.id or 0, lead.id or 0, "false_alarm", turn.now)
    patient = Patient(
        ref=new_ref(),
        clinic_id=lead.clinic_id,
        practitioner_id=lead.id or 0,
        state=PatientState.DECLINED,
        is_test=True,
        language=turn.clinic.language,
        created_at=turn.now,
    )
    name = turn.deps.catalogue.label(turn.clinic.language, "unset", "drill")
    sealed.write(turn.session, patient, {"name": name})
    turn.session.add(patient)
    await turn.session.flush()
    reported = [("reports", "drill")]
    alert = await alerting.raise_alert(
        turn, patient, Level.URGENT, reported, drill=True, to=tuple(To)
    )
    await turn.screen("practitioner/drill_started", rows=_see(alert))


def _see(alert: Alert) -> list[list[Button]]:
    return [[Button(label="see_drill", data=buttons.pack("drillseen", alert.ref))]]


async def taken(turn: Turn, alert: Alert) -> None:
    """Note that the chain works: once somebody has taken a drill, the clinic is live."""
    if turn.clinic.live_at is None:
        turn.clinic.live_at = turn.now
        turn.session.add(turn.clinic)
    for lead in await people.practitioners(turn.session, turn.clinic.id or 0):
        if lead.role == LEAD:
            values = await _values(turn, alert)
            await turn.tell(lead, "practitioner/drill", values, _see(alert))


async def show(turn: Turn, ref: str) -> None:
    """Show who was told of a drill, and who took it when."""
    lead_or_practitioner(turn)
    alert = await alerts.by_ref(turn.session, turn.clinic.id or 0, ref)
    if alert is None or not alert.is_drill:
        raise StaleButton
    await turn.screen("practitioner/drill", await _values(turn, alert), _see(alert))


async def _values(turn: Turn, alert: Alert) -> dict[str, object]:
    told: dict[int, int | None] = {}
    for entry in await alerts.log_of(turn.session, alert.id or 0):
        if entry.practitioner_id is None:
            continue
        told.setdefault(entry.practitioner_id, None)
        if entry.act == "acknowledged" and told[entry.practitioner_id] is None:
            waited = entry.at - alert.opened_at
            told[entry.practitioner_id] = int(waited.total_seconds())
    names = {each.id: each for each in await people.practitioners(turn.session, alert.clinic_id)}
    return {
        "reported_at": dates.moment(
            alert.opened_at, turn.clinic_zone, turn.clinic.language, turn.now
        ),
        "chain": [
            {
                "name": words.name_of(turn.session, names[key]),
                "took": seconds is not None,
                "seconds": seconds or 0,
            }
            for key, seconds in told.items()
            if key in names
        ],
        "taken": alert.acked_at is not None,
    }
