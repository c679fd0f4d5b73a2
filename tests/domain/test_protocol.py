"""A protocol is read completely or refused with file, key and reason."""

import copy
import json
import tomllib
from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest

from bot.domain.moments import parse_limit_end, parse_moment
from bot.domain.protocol import (
    Anchor,
    Condition,
    ConditionKind,
    Kind,
    Limit,
    Moment,
)
from bot.domain.protocol_files import ProtocolError, parse

from .samples import FACE, FACE_FILE, FILLER_PROTOCOL

Data = dict[str, Any]


def _face() -> Data:
    return tomllib.loads(FACE_FILE.read_text("utf-8"))


def _step(data: Data, step_id: str) -> Data:
    return next(step for step in data["step"] if step["id"] == step_id)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T0", Moment(Anchor.T0, elapsed=timedelta())),
        ("T0+3h", Moment(Anchor.T0, elapsed=timedelta(hours=3))),
        ("T0+90m", Moment(Anchor.T0, elapsed=timedelta(minutes=90))),
        ("NV-6h", Moment(Anchor.NV, elapsed=timedelta(hours=-6))),
        ("D 21:30", Moment(Anchor.D, at=time(21, 30))),
        ("D+1 10:00", Moment(Anchor.D, days=1, at=time(10))),
        ("NV-14 18:00", Moment(Anchor.NV, days=-14, at=time(18))),
        ("TARGET+14 20:00", Moment(Anchor.TARGET, days=14, at=time(20))),
        (
            "max(D+2, TARGET-10) 12:00",
            Moment(
                Anchor.TARGET,
                days=-10,
                at=time(12),
                earliest=Moment(Anchor.D, days=2, at=time(12)),
            ),
        ),
    ],
)
def test_a_time_expression_is_read(text: str, expected: Moment) -> None:
    assert parse_moment(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D+1",
        "D+1 25:00",
        "D+1 9:00",
        "D-1 10:00",
        "D+1 10:00 ",
        "d+1 10:00",
        "T0-1h",
        "T0+3d",
        "T0+3h 10:00",
        "NV",
        "NV+6h",
        "NV+1 10:00",
        "TARGET-6h",
        "max(D+2, NV-10) 12:00",
        "max(TARGET-10, D+2) 12:00",
        "max(D+2, TARGET-10)",
        "max(D-2, TARGET-10) 12:00",
        "tomorrow",
    ],
)
def test_anything_else_is_no_time_expression(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|lies before|lies after|does not lie"):
        parse_moment(text)


def test_limits_end_by_the_hour_or_by_the_calendar() -> None:
    assert parse_limit_end("24h") == Moment(Anchor.T0, elapsed=timedelta(hours=24))
    assert parse_limit_end("D+3 18:00") == Moment(Anchor.D, days=3, at=time(18))


def test_the_shipped_protocol_says_what_the_clinical_facts_say() -> None:
    steps = " ".join(step.id for step in FACE.steps)
    assert steps == "card d1 d3 d7 book book-2 prep14 prep2 conf d28 maint maint-2"
    assert " ".join(limit.id for limit in FACE.limits) == (
        "touch_rub makeup alcohol gym hot_bath sauna_steam pool_sea sunbed "
        "acids_retinoids_scrubs facial_massage other_procedure strong_sun"
    )
    assert FACE.limits[3] == Limit("gym", FACE.step("d3").when)
    assert FACE.limits[5].until == FACE.step("d7").when
    assert [step.id for step in FACE.steps if step.safety] == ["d1"]
    assert [step.id for step in FACE.steps if step.silent] == ["book", "book-2", "maint", "maint-2"]
    assert FACE.step("d28").kinds == (Kind.LATE_CHECK, Kind.PHOTO)
    assert FACE.step("card").warning_template == "steps/warning-card"
    assert {step.id: step.conditions for step in FACE.steps if step.conditions} == {
        "d7": (Condition(ConditionKind.NEXT_VISIT_NEAR, 9),),
        "book": (Condition(ConditionKind.UNBOOKED),),
        "book-2": (Condition(ConditionKind.UNBOOKED),),
        "prep14": (Condition(ConditionKind.GAP, 21),),
        "conf": (Condition(ConditionKind.UNCONFIRMED),),
        "d28": (Condition(ConditionKind.LATEST, 7),),
        "maint": (Condition(ConditionKind.LATEST, 7),),
        "maint-2": (Condition(ConditionKind.LATEST, 7),),
    }


def test_a_repeat_is_a_step_of_its_own_valid_as_much_later() -> None:
    book, again = FACE.step("book"), FACE.step("book-2")
    assert again.repeat_of == "book"
    assert again.when == parse_moment("max(D+6, TARGET-6) 12:00")
    assert again.valid_until == parse_moment("TARGET+18 20:00")
    assert (again.template, again.buttons) == (book.template, book.buttons)
    assert FACE.step("maint-2").valid_until == parse_moment("D+204 20:00")


def test_a_step_may_be_bounded_by_a_latest_hour() -> None:
    assert FILLER_PROTOCOL.step("h3").latest_at == time(21)


def test_an_unknown_step_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        FACE.step("d2")


def test_a_protocol_survives_json() -> None:
    assert parse("mesotherapy-face", json.loads(json.dumps(_face())), str(FACE_FILE)) == FACE


def _set(step_id: str, key: str, value: object) -> Callable[[Data], object]:
    return lambda data: _step(data, step_id).update({key: value})


def _drop(step_id: str, key: str) -> Callable[[Data], object]:
    return lambda data: _step(data, step_id).pop(key)


@pytest.mark.parametrize(
    ("spoil", "key", "reason"),
    [
        (lambda d: d.pop("title"), "title", "is missing"),
        (lambda d: d.update(title=" "), "title", "must be a text"),
        (lambda d: d.update(version=0), "version", "from 1 on"),
        (lambda d: d.update(version=True), "version", "from 1 on"),
        (lambda d: d.update(version="1"), "version", "from 1 on"),
        (lambda d: d.update(steps=[]), "steps", "is not known"),
        (lambda d: d.pop("limits"), "limits", "is missing"),
        (lambda d: d.update(limits={}), "limits", "must not be empty"),
        (lambda d: d.update(limits=["gym"]), "limits", "must be a table"),
        (lambda d: d["limits"].update(gym="3 days"), "limits.gym", "is not a time"),
        (lambda d: d["limits"].update(gym="0h"), "limits.gym", "ends at once"),
        (lambda d: d["limits"].update(gym="NV-1 10:00"), "limits.gym", "not the end of a limit"),
        (lambda d: d["limits"].update(gym="T0"), "limits.gym", "not the end of a limit"),
        (lambda d: d["limits"].update({"Hot bath": "24h"}), "limits.Hot bath", "look like"),
        (lambda d: d.pop("step"), "step", "is missing"),
        (lambda d: d.update(step=[]), "step", "one at least"),
        (lambda d: d["step"].append("d2"), "step", "must be a table"),
        (lambda d: d["step"].pop(0), "step", "one card"),
        (lambda d: d["step"].append({**d["step"][0], "id": "card-b"}), "step", "one card"),
        (lambda d: d["step"].append({"when": "T0"}), "step.#11.id", "is missing"),
        (lambda d: d["step"].append(copy.deepcopy(d["step"][1])), "step.d1.id", "another step"),
        (_set("d28", "id", "book-2"), "step.book-2.id", "another step"),
        (_set("d1", "id", "D1"), "step.D1.id", "look like"),
        (_drop("d1", "when"), "step.d1.when", "is missing"),
        (_set("d1", "when", "D+1"), "step.d1.when", "is not a time"),
        (_set("d1", "when", 10), "step.d1.when", "must be a text"),
        (_set("d1", "when", "D+1 24:00"), "step.d1.when", "is not a clock time"),
        (_set("card", "when", "T0+1h"), "step.card.when", "must be 'T0'"),
        (_set("d1", "valid_until", "D+1 10:00"), "step.d1.valid_until", "lies before"),
        (_set("d1", "valid_until", "T0+2h"), "step.d1.valid_until", "lies before"),
        (
            lambda d: _step(d, "d1").update(when="T0+3h", valid_until="T0+3h"),
            "step.d1.valid_until",
            "lies before",
        ),
        (_set("d1", "valid_until", "NV-6h"), "step.d1.valid_until", "something else"),
        (_set("d1", "until", "D+2 10:00"), "step.d1.until", "is not known"),
        (_set("d1", "latest", "21:00"), "step.d1.latest", "only bounds"),
        (_set("d1", "latest", "9 pm"), "step.d1.latest", "is not a clock time"),
        (_set("d1", "kind", "check"), "step.d1.kind", "must be a list"),
        (_set("d1", "kind", []), "step.d1.kind", "must not be empty"),
        (_set("d1", "kind", ["chek"]), "step.d1.kind", "is not one of"),
        (_set("d1", "kind", ["check", "check"]), "step.d1.kind", "twice"),
        (_set("d1", "kind", ["lift"]), "step.d1.safety", "a check only"),
        (_set("d1", "safety", "yes"), "step.d1.safety", "true or false"),
        (_set("d7", "quiet_exempt", True), "step.d7.quiet_exempt", "card or a safety check"),
        (_set("d7", "skip_if", ["NV < D+9"]), "step.d7.skip_if", "is not like"),
        (_set("d7", "only_if", ["sunny"]), "step.d7.only_if", "is not 'unbooked'"),
        (_set("d7", "only_if", ["gap >= 21"]), "step.d7.only_if", "cannot be judged"),
        (_set("conf", "only_if", ["latest"]), "step.conf.only_if", "cannot be judged"),
        (_set("conf", "skip_if", ["NV <= D+9"]), "step.conf.skip_if", "cannot be judged"),
        (_set("book", "repeat", 4), "step.book.repeat", "must be a table"),
        (_set("book", "repeat", {"after_days": 4}), "step.book.repeat.times", "is missing"),
        (
            _set("book", "repeat", {"after_days": 0, "times": 1}),
            "step.book.repeat.after_days",
            "from 1 on",
        ),
        (_set("card", "repeat", {"after_days": 1, "times": 1}), "step.card.repeat", "calendar"),
        (_set("prep14", "repeat", {"after_days": 1, "times": 1}), "step.prep14.repeat", "past"),
        (_set("d1", "template", "../secret"), "step.d1.template", "look like"),
        (_set("d1", "template", ""), "step.d1.template", "must be a text"),
        (_set("d1", "warning", "steps/warning-card"), "step.d1.warning", "card only"),
        (_drop("d1", "buttons"), "step.d1.buttons", "is missing"),
        (_set("d1", "buttons", ["Not sure"]), "step.d1.buttons", "look like"),
        (_set("d1", "buttons", ["a", "b", "c", "d"]), "step.d1.buttons", "3 at most"),
        (_drop("d1", "sources"), "step.d1.sources", "is missing"),
        (_set("d1", "sources", [7]), "step.d1.sources", "must hold texts"),
    ],
)
def test_a_malformed_protocol_is_refused_by_name(
    spoil: Callable[[Data], object], key: str, reason: str
) -> None:
    data = _face()
    spoil(data)
    with pytest.raises(ProtocolError) as caught:
        parse("mesotherapy-face", data, "face.toml")
    assert (caught.value.file, caught.value.key) == ("face.toml", key)
    assert reason in caught.value.reason
    assert str(caught.value) == f"face.toml: {key}: {caught.value.reason}"


def test_a_step_that_could_only_go_in_quiet_hours_is_refused() -> None:
    data = _face()
    _step(data, "d3").update(when="D+3 22:00", valid_until="D+4 08:00")
    with pytest.raises(ProtocolError, match="it would never go"):
        parse("mesotherapy-face", data, "face.toml")


def test_a_protocol_name_is_a_file_name() -> None:
    with pytest.raises(ProtocolError, match="name"):
        parse("Mesotherapy Face", _face(), "face.toml")
