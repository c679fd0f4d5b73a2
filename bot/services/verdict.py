"""What answers lead to, without a patient: for the command line and whoever reviews the table."""

from collections.abc import Sequence
from typing import Any

from bot.domain import escalation, triage
from bot.domain.escalation import Consequence
from bot.domain.opening import REPLY_WITHIN
from bot.domain.protocol import Protocol
from bot.domain.states import Level
from bot.domain.triage import Trend
from bot.outgoing.catalogue import Catalogue
from bot.outgoing.texts import Texts
from bot.services.preview import SAMPLE_CLINIC

_TEXTS = {
    Level.EXPECTED: "patient/better",
    Level.TELL_CLINIC: "patient/told_clinic",
    Level.URGENT: "patient/urgent",
    Level.EMERGENCY: "patient/emergency",
}
_NOBODY = "clinic"


def as_json(
    catalogue: Catalogue,
    texts: Texts,
    protocol: Protocol,
    day: int,
    answers: Sequence[str],
    trend: Trend | None,
    language: str,
) -> dict[str, Any]:
    """Return the verdict as ``triage --json`` prints it (design.md 6).

    Raises ``ValueError`` for an answer that is none. Seconds count from the report; those of *tell
    clinic* that wait for the promised answer stand at the four open hours that it takes at most.
    """
    level = triage.level_of(protocol.triage, day, answers, trend)
    late = REPLY_WITHIN if level is Level.TELL_CLINIC else None
    listed = [_item(each, to, 0.0) for each in escalation.at_once(level) for to in _to(each)]
    listed += [
        _item(each, to, late.total_seconds() if late else 0.0)
        for each in escalation.then(level)
        for to in _to(each)
    ]
    return {
        "level": level.value,
        "patient_text": _text(catalogue, texts, protocol, level, language),
        "then": listed,
    }


def _to(each: Consequence) -> Sequence[str]:
    return [to.value for to in each.to] or [_NOBODY]


def _item(each: Consequence, to: str, after_s: float) -> dict[str, Any]:
    return {
        "after_s": int(after_s + each.after.total_seconds()),
        "to": to,
        "action": each.act.value,
    }


def _text(
    catalogue: Catalogue, texts: Texts, protocol: Protocol, level: Level, language: str
) -> str:
    values = dict(SAMPLE_CLINIC)
    common = texts.render(language, f"patient/expected/{protocol.full_name}", values)
    values |= {
        "expected_line": common.text,
        "next_date": None,
        "reply_by": catalogue.label(language, "unset", "reply_by"),
        "clinic_city": None,
        "photos_asked": True,
        "told_later": False,
        "closed": False,
        "alone": False,
        "nobody": False,
        "had": [
            {
                "treatment": catalogue.label(language, "treatments", protocol.full_name),
                "done_at": catalogue.label(language, "unset", "visit_date"),
                "area": None,
                "product": None,
            }
        ],
    }
    return texts.render(language, _TEXTS[level], values).text
