"""``aftercare preview``: the plan of a protocol, worked out by hand across a change of clocks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot import cli

# The session ends on Saturday at 18:30; on Sunday at 02:00 Berlin's clocks go forward.
VISIT = "2026-03-28T18:30"
UNDATED = (None, None, None)

# step, local time, UTC, useful until (UTC): by hand from the table of the protocol.
DATED = {
    "card": ("2026-03-28T18:30:00+01:00", "2026-03-28T17:30:00Z", "2026-03-29T10:00:00Z"),
    "d1": ("2026-03-29T10:00:00+02:00", "2026-03-29T08:00:00Z", "2026-03-30T10:00:00Z"),
    "d3": ("2026-03-31T18:00:00+02:00", "2026-03-31T16:00:00Z", "2026-04-02T18:00:00Z"),
    "d7": ("2026-04-04T10:00:00+02:00", "2026-04-04T08:00:00Z", "2026-04-09T18:00:00Z"),
    "d28": ("2026-04-25T11:00:00+02:00", "2026-04-25T09:00:00Z", "2026-05-09T18:00:00Z"),
    "maint": ("2026-06-20T11:00:00+02:00", "2026-06-20T09:00:00Z", "2026-07-26T18:00:00Z"),
    "maint-2": ("2026-09-12T11:00:00+02:00", "2026-09-12T09:00:00Z", "2026-10-18T18:00:00Z"),
}
BOOKING = {
    "book": ("2026-04-15T12:00:00+02:00", "2026-04-15T10:00:00Z", "2026-05-09T18:00:00Z"),
    "book-2": ("2026-04-19T12:00:00+02:00", "2026-04-19T10:00:00Z", "2026-05-13T18:00:00Z"),
}
NEXT_VISIT = {
    "prep14": ("2026-04-11T18:00:00+02:00", "2026-04-11T16:00:00Z", "2026-04-17T18:00:00Z"),
    "prep2": ("2026-04-23T18:00:00+02:00", "2026-04-23T16:00:00Z", "2026-04-25T07:00:00Z"),
    "conf": ("2026-04-24T12:00:00+02:00", "2026-04-24T10:00:00Z", "2026-04-25T10:00:00Z"),
}
ENDS = {
    **dict.fromkeys(
        ("touch_rub", "makeup", "alcohol"), ("2026-03-29T19:30:00+02:00", "2026-03-29T17:30:00Z")
    ),
    **dict.fromkeys(("gym", "hot_bath"), ("2026-03-31T18:00:00+02:00", "2026-03-31T16:00:00Z")),
    **dict.fromkeys(
        ("sauna_steam", "pool_sea", "sunbed", "acids_retinoids_scrubs", "facial_massage"),
        ("2026-04-04T10:00:00+02:00", "2026-04-04T08:00:00Z"),
    ),
    **dict.fromkeys(
        ("other_procedure", "strong_sun"), ("2026-04-11T10:00:00+02:00", "2026-04-11T08:00:00Z")
    ),
}
Says = Callable[..., str]


@pytest.fixture
def says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Says:
    """What ``preview`` prints in an empty folder, without a setting, and how it ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("TERMINAL_WIDTH", "240")
    for name in ("TELEGRAM_BOT_TOKEN", "DATABASE_URL", "DATA_DIR", "MESSAGES_DIR"):
        monkeypatch.delenv(name, raising=False)

    def say(*arguments: str, code: int = 0, visit: str = VISIT) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(
                ["preview", *arguments, "--visit", visit, "--timezone", "Europe/Berlin"]
                if visit
                else ["preview", *arguments]
            )
        assert ended.value.code == code
        assert list(tmp_path.iterdir()) == []
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return say


def planned(says: Says, *options: str, visit: str = VISIT) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(says("mesotherapy-face", "--json", *options, visit=visit))
    return plan


def times(plan: dict[str, Any]) -> dict[str, tuple[str | None, str | None, str | None]]:
    steps = {
        step["step"]: (step["due_local"], step["due_utc"], step["expires_utc"])
        for step in plan["steps"]
    }
    assert len(steps) == len(plan["steps"])
    return steps


def reasons(plan: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["reason"] for step in plan["steps"] if "reason" in step}


def text(plan: dict[str, Any], name: str) -> str:
    (found,) = [step["text"] for step in plan["steps"] if step["step"] == name]
    return str(found)


def test_every_step_once_with_its_times_across_the_change_of_clocks(says: Says) -> None:
    plan = planned(says)
    assert list(plan) == ["protocol", "version", "timezone", "language", "steps", "limits"]
    assert (plan["protocol"], plan["version"]) == ("mesotherapy-face", 2)
    assert (plan["timezone"], plan["language"]) == ("Europe/Berlin", "en")
    undated = dict.fromkeys((*BOOKING, *NEXT_VISIT), UNDATED)
    assert times(plan) == DATED | undated
    # In order of time, those without times last.
    assert list(times(plan)) == [*DATED, *BOOKING, *NEXT_VISIT]
    assert reasons(plan) == {
        **dict.fromkeys(BOOKING, "no_target_date"),
        **dict.fromkeys(NEXT_VISIT, "no_next_visit"),
    }
    limits = {limit["limit"]: (limit["ends_local"], limit["ends_utc"]) for limit in plan["limits"]}
    assert limits == ENDS
    kinds = {step["step"]: step["kind"] for step in plan["steps"]}
    assert kinds["d3"] == ["lift", "check"]
    assert kinds["prep2"] == ["prep", "confirm"]
    (d1,) = [step for step in plan["steps"] if step["step"] == "d1"]
    assert d1["buttons"] == ["None of these", "Yes, I have one", "Not sure"]
    assert set(d1) == {*("step", "kind", "due_local", "due_utc", "expires_utc", "text", "buttons")}


def test_a_target_date_and_a_next_visit_date_the_rest(says: Says) -> None:
    plan = planned(says, "--target", "2026-04-25")
    assert times(plan) == DATED | BOOKING | dict.fromkeys(NEXT_VISIT, UNDATED)
    assert set(reasons(plan)) == set(NEXT_VISIT)
    assert "planned it for around Sat 25 April" in text(plan, "book")

    # Never before the second day: the target less ten days lies before the session.
    near = times(planned(says, "--target", "2026-04-03"))
    assert near["book"][:2] == ("2026-03-30T12:00:00+02:00", "2026-03-30T10:00:00Z")
    assert near["book-2"][:2] == ("2026-04-03T12:00:00+02:00", "2026-04-03T10:00:00Z")

    booked = planned(says, "--next-visit", "2026-04-25T15:00")
    assert times(booked) == DATED | NEXT_VISIT | dict.fromkeys(BOOKING, UNDATED)
    assert reasons(booked) == {**dict.fromkeys(BOOKING, "booked"), "d28": "not_latest"}
    assert "your visit is on Sat 25 April at 15:00." in text(booked, "prep2")
    assert "will you come on Sat 25 April at 15:00?" in text(booked, "conf")

    both = planned(says, "--next-visit", "2026-04-25T15:00", "--target", "2026-04-25")
    assert times(both) == DATED | NEXT_VISIT | BOOKING
    assert reasons(both) == {**dict.fromkeys(BOOKING, "booked"), "d28": "not_latest"}


def test_a_next_visit_soon_changes_what_goes(says: Says) -> None:
    nine_days = planned(says, "--next-visit", "2026-04-06T09:00")
    assert reasons(nine_days)["d7"] == "next_visit_near"
    assert reasons(nine_days)["prep14"] == "gap_short"
    ten_days = planned(says, "--next-visit", "2026-04-07T09:00")
    assert "d7" not in reasons(ten_days)
    # The planned gap is 21 days: 20 are short, 21 are not.
    assert reasons(planned(says, "--next-visit", "2026-04-17T09:00"))["prep14"] == "gap_short"
    assert "prep14" not in reasons(planned(says, "--next-visit", "2026-04-18T09:00"))


def test_the_texts_are_those_of_the_phone(says: Says) -> None:
    plan = planned(says)
    card = text(plan, "card")
    assert card.startswith("Lumen: your care card.\nUntil Sun 29 March, 19:30:\n- no touching")
    assert "\n\nLumen: when to get help.\nCall 112 now if:" in card
    assert "Until Tue 31 March, 18:00:" in card
    day_1 = "24-hour limits end on Sun 29 March, 19:30.\nThen clean mineral make-up"
    assert day_1 in text(plan, "d1")
    assert "Until Sat 4 April, 10:00, still no:\n- sauna" in text(plan, "d3")
    assert "it is 3 months since your last visit" in text(plan, "maint")
    assert "it is 6 months since your last visit" in text(plan, "maint-2")
    for step in plan["steps"]:
        assert "<" not in step["text"]
        assert "None" not in step["text"]


def test_an_unknown_date_is_named_and_never_a_wrong_one(says: Says) -> None:
    plan = planned(says)
    assert "your visit is on [visit date] at [time]." in text(plan, "prep2")
    assert "your visit is on [visit date]." in text(plan, "prep14")
    assert "will you come on [visit date] at [time]?" in text(plan, "conf")
    assert "planned it for around [planned date]." in text(plan, "book-2")
    for step in plan["steps"]:
        if step["due_utc"] is None:
            assert "March" not in step["text"]
    # The table shows the brackets too, and does not take them for its own markup.
    table = says("mesotherapy-face")
    assert "[visit date]" in table
    assert "no_next_visit" in table
    assert all(f" {step} " in table for step in (*DATED, *BOOKING, *NEXT_VISIT))
    assert "2026-03-29 19:30" in table


def test_a_time_that_comes_twice_is_its_first_pass(says: Says) -> None:
    plan = planned(says, visit="2026-10-25T02:30")
    assert times(plan)["card"][:2] == ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z")
    assert times(plan)["d1"][:2] == ("2026-10-26T10:00:00+01:00", "2026-10-26T09:00:00Z")
    # 24 hours that have passed, not the same clock time of the next day.
    touch_rub = plan["limits"][0]
    assert touch_rub["ends_local"] == "2026-10-26T01:30:00+01:00"
    assert touch_rub["ends_utc"] == "2026-10-26T00:30:00Z"


@pytest.mark.parametrize("columns", [80, 140])
def test_the_table_is_one_line_a_step(
    says: Says, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = says("mesotherapy-face").splitlines()
    assert max(map(len, lines)) <= columns
    (card,) = [line.split() for line in lines if line.split()[:1] == ["card"]]
    assert card[1:7] == ["2026-03-28", "18:30", "2026-03-29", "12:00", "Lumen:", "your"]
    (booking,) = [line.split() for line in lines if line.split()[:1] == ["book"]]
    assert booking[1:3] == ["no_target_date", "Lumen:"]
    assert any("Times in Europe/Berlin." in line for line in lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["mesotherapy-face", "--visit", "2026-03-29T02:30"], "does not exist"),
        (["mesotherapy-face", "--next-visit", "2026-03-29T02:30"], "does not exist"),
        (["mesotherapy-face", "--next-visit", "2026-03-28T18:30"], "must lie after"),
        (["mesotherapy-face", "--next-visit", "soon"], "is not a time like"),
        (["mesotherapy-face", "--visit", "2026-02-30T10:00"], "is not a time like"),
        (["mesotherapy-face", "--target", "2026-03-28"], "must lie after"),
        (["mesotherapy-face", "--target", "2026-04-31"], "is not a date like"),
        (["mesotherapy-face", "--target", "9999-12-31"], "is not in the years"),
        (["mesotherapy-face", "--visit", "9999-12-31T18:30"], "is not in the years"),
        (["mesotherapy-face", "--visit", "0001-01-01T00:30"], "is not in the years"),
        (["mesotherapy-knee"], "there is no protocol 'mesotherapy-knee'"),
        (["mesotherapy-face", "--variant", "fat-dissolving"], "has no variant"),
        (["mesotherapy-face", "--language", "tlh"], "no texts in language 'tlh'"),
        (["mesotherapy-face", "--timezone", "Europe/Nowhere"], "no time zone 'Europe/Nowhere'"),
        (["mesotherapy-face", "--timezone", "../../etc/passwd"], "no time zone"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_previewed_is_refused(says: Says, options: list[str], said: str) -> None:
    given = {"--visit": VISIT, "--timezone": "Europe/Berlin"}
    for name, value in given.items():
        if name not in options:
            options = [*options, name, value]
    refused = " ".join(says(*options, code=2, visit="").replace("│", " ").split())
    assert said in refused


@pytest.mark.parametrize(
    ("visit", "h3", "d1"),
    [
        ("2026-03-28T13:00", "2026-03-28T16:00:00+01:00", "2026-03-29T09:00:00+02:00"),
        ("2026-03-28T18:30", "2026-03-28T21:00:00+01:00", "2026-03-29T09:00:00+02:00"),
        ("2026-03-28T19:45", "2026-03-28T21:00:00+01:00", "2026-03-29T08:30:00+02:00"),
    ],
)
def test_the_first_day_of_a_filler(says: Says, visit: str, h3: str, d1: str) -> None:
    plan: dict[str, Any] = json.loads(says("dermal-filler", "--json", visit=visit))
    due = {step["step"]: step["due_local"] for step in plan["steps"]}
    assert list(due) == ["card", "h3", "d1", "d3", "d7", "d14", "d35", "maint"]
    assert (due["h3"], due["d1"]) == (h3, d1)
    assert due["d14"] == "2026-04-11T11:00:00+02:00"
    assert reasons(plan) == ({"h3": "quiet_hours"} if "19:45" in visit else {})
    assert text(plan, "maint").startswith("Lumen: it is 6 months since your last visit.")
    # A step on its own is shown as it reads alone.
    assert text(plan, "d3").endswith("- gym or hard exercise\n- trips away from the clinic")
    assert text(plan, "card").count("Call 112 now if:\n- your sight changes all at once") == 1


def test_a_variant_adds_its_step_and_plans_no_session_too_soon(says: Says) -> None:
    common: tuple[str, ...] = ("mesotherapy-body", "--json", "--target", "2026-04-10")
    plain: dict[str, Any] = json.loads(says(*common))
    fat: dict[str, Any] = json.loads(says(*common, "--variant", "fat-dissolving"))
    assert "variant" not in plain
    assert (fat["protocol"], fat["variant"]) == ("mesotherapy-body", "fat-dissolving")
    assert set(times(fat)) - set(times(plain)) == {"d14"}
    assert times(fat)["d14"][0] == "2026-04-11T11:00:00+02:00"
    assert times(plain)["book"][0] == "2026-03-31T12:00:00+02:00"
    assert "planned it for around Fri 10 April" in text(plain, "book")
    # Four weeks lie between two of these sessions, whatever was planned.
    assert times(fat)["book"][0] == "2026-04-15T12:00:00+02:00"
    assert "planned it for around Sat 25 April" in text(fat, "book")
    assert fat["limits"] == plain["limits"]
    assert "mesotherapy-body fat-dissolving version 1" in says(
        "mesotherapy-body", "--variant", "fat-dissolving"
    )
    refused = says("mesotherapy-body", "--variant", "oil", code=2)
    assert "fat-dissolving" in refused
