"""What a patient gets who joins after the session: one card, the safety check, the rest."""

from datetime import timedelta

import pytest

from bot.domain.schedule import is_stale

from .samples import FILLER_PROTOCOL, at, crowded, done, goes, handed, local, planning, reasons

SESSION = "2025-03-10 15:40"


@pytest.mark.parametrize(
    ("since", "sent", "kept"),
    [
        # joining in the clinic
        ("2025-03-10 15:50", {"card": "2025-03-10 15:50", "d1": "2025-03-11 10:00"}, {}),
        ("2025-03-10 16:40", {"card": "2025-03-10 16:40", "d1": "2025-03-11 10:00"}, {}),
        # late, before any other step
        ("2025-03-10 22:10", {"card": "2025-03-10 22:10", "d1": "2025-03-11 10:00"}, {}),
        # day 1 is past, day 3 far away: the safety check follows at once
        ("2025-03-11 23:30", {"card": "2025-03-11 23:30", "d1": "2025-03-11 23:30"}, {}),
        ("2025-03-12 15:40", {"card": "2025-03-12 15:40", "d1": "2025-03-12 15:40"}, {}),
        # more than 48 hours after the session: no check of its own
        ("2025-03-12 15:41", {"card": "2025-03-12 15:41"}, {"d1": "joined_late!"}),
        # day 3 is past and still valid
        (
            "2025-03-13 18:30",
            {"card": "2025-03-13 18:30", "d7": "2025-03-17 10:00"},
            {"d1": "joined_late!", "d3": "folded!"},
        ),
        # the minute in which day 3 ends is too late for it
        ("2025-03-15 20:00", {"card": "2025-03-15 20:00"}, {"d3": "joined_late!"}),
        (
            "2025-03-23 11:00",
            {"card": "2025-03-23 11:00", "d28": "2025-04-07 11:00"},
            {"d1": "joined_late!", "d3": "joined_late!", "d7": "joined_late!", "book": "folded!"},
        ),
        # the last limit is over: there is no card to fold anything into
        (
            "2025-03-24 10:00",
            {"book": "2025-03-24 10:00"},
            {"card": "joined_late!", "d7": "joined_late!"},
        ),
        (
            "2025-04-10 22:00",
            {"d28": "2025-04-11 08:30", "book": "2025-04-11 08:30"},
            {"card": "joined_late!", "d3": "joined_late!"},
        ),
    ],
)
def test_joining_after_the_session(since: str, sent: dict[str, str], kept: dict[str, str]) -> None:
    made = planning(done(SESSION, since=since, target="2025-03-31"))
    found = goes(made) | reasons(made)
    assert {key: found[key] for key in sent | kept} == sent | kept


def test_a_late_card_is_valid_until_the_last_limit_ends() -> None:
    in_clinic = planning(done(SESSION, since="2025-03-10 16:40"))["card"]
    assert local(in_clinic.expires_at) == "2025-03-11 12:00"
    sooner = planning(done(SESSION, since="2025-03-10 15:50"))["card"]
    assert sooner.expires_at == in_clinic.expires_at
    late = planning(done(SESSION, since="2025-03-10 16:41"))["card"]
    assert local(late.expires_at) == "2025-03-24 10:00"
    assert in_clinic.asked
    assert late.asked
    assert not planning(done(SESSION))["card"].asked


def test_the_check_that_follows_the_card_is_valid_for_twelve_hours() -> None:
    made = planning(done(SESSION, since="2025-03-11 23:30"))
    assert local(made["d1"].expires_at) == "2025-03-12 11:30"
    assert made["d1"].asked
    assert made["d1"].group == "v1/d1"
    gone = planning(done(SESSION, since="2025-03-11 23:30"), now=at("2025-03-12 11:30"))
    assert reasons(gone)["d1"] == "too_late!"


@pytest.mark.parametrize(
    ("since", "check", "expected"),
    [
        # h3 is past; d1 comes at 09:00, more than 2 hours away until 06:59
        ("2025-03-10 20:00", "h3", "2025-03-10 20:00"),
        ("2025-03-11 06:59", "h3", "2025-03-11 06:59"),
        ("2025-03-11 07:00", "h3", "joined_late!"),
        # d1 is the latest past one; after 48 hours too, as this protocol looks at 3 hours
        ("2025-03-12 10:00", "d1", "2025-03-12 10:00"),
        ("2025-03-13 07:59", "d1", "2025-03-13 07:59"),
        ("2025-03-13 08:00", "d1", "joined_late!"),
        ("2025-03-13 11:00", "d3", "2025-03-13 11:00"),
        ("2025-03-13 15:40", "d3", "2025-03-13 15:40"),
        ("2025-03-13 15:41", "d3", "folded!"),
    ],
)
def test_the_latest_safety_check_follows_a_filler(since: str, check: str, expected: str) -> None:
    made = planning(done(SESSION, protocol=FILLER_PROTOCOL, since=since))
    assert (goes(made) | reasons(made))[check] == expected
    assert sum(p.asked for p in made.values()) == (1 if "!" in expected else 2)


def test_a_check_due_in_the_minute_of_joining_answers_the_joining() -> None:
    made = planning(done(SESSION, since="2025-03-11 10:00"))
    assert made["d1"].asked
    assert local(made["d1"].expires_at) == "2025-03-11 22:00"


def test_two_sessions_joined_late_give_one_card_and_one_check() -> None:
    visits = [
        done(SESSION, since="2025-03-11 20:00"),
        done("2025-03-10 16:10", protocol=FILLER_PROTOCOL, visit="v2", since="2025-03-11 20:00"),
    ]
    made = planning(*visits)
    assert made["v1/card"].group == made["v2/card"].group == "v1/card"
    assert made["v1/d1"].group == made["v2/d1"].group == "v1/d1"
    assert local(made["v2/card"].group_due_at) == "2025-03-11 20:00"


def test_a_replan_after_joining_late_settles_the_same() -> None:
    session = done(SESSION, since="2025-03-13 18:30", target="2025-03-31")
    gone = [handed(session, "card", "2025-03-13")]
    made = planning(session, delivered=gone, now=at("2025-03-14 09:00"))
    assert reasons(made) == {"d1": "joined_late!", "d3": "folded!"}


def test_a_check_soon_at_night_counts_as_soon_if_quiet_hours_are_not_for_it() -> None:
    early = "a|D+0 18:00|D+1 20:00|check|safety = true"
    night = "b|D+0 22:00|D+1 20:00|check|safety = true"
    joined = "2025-03-10 20:30"
    exempt = crowded(early, f"{night}|quiet_exempt = true")
    made = planning(done(SESSION, protocol=exempt, since=joined))
    assert reasons(made)["a"] == "folded!"
    assert goes(made)["b"] == "2025-03-10 22:00"
    # In quiet hours like any other it comes at 08:30, too far away to wait for.
    made = planning(done(SESSION, protocol=crowded(early, night), since=joined))
    assert goes(made)["a"] == joined


def test_an_answer_is_stale_after_an_hour() -> None:
    due, hour = at("2025-03-10 15:40"), timedelta(hours=1)
    assert not is_stale(due, due)
    assert not is_stale(due, due + hour)
    assert is_stale(due, due + hour + timedelta.resolution)
    assert is_stale(due, due + 30 * hour)
