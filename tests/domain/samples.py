"""The protocols, visits and times that the domain's tables speak of."""

import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.domain.facts import Delivered, Planned, VisitFacts
from bot.domain.protocol import Protocol
from bot.domain.protocol_files import parse
from bot.domain.schedule import plan
from bot.domain.times import QuietHours, local_date

MESSAGES = Path(__file__).parents[2] / "messages"
FACE_FILE = MESSAGES / "protocols/mesotherapy-face.toml"
DERMAL_FILE = MESSAGES / "protocols/dermal-filler.toml"
BODY_FILE = MESSAGES / "protocols/mesotherapy-body.toml"
BERLIN = ZoneInfo("Europe/Berlin")
QUIET = QuietHours()

# Shaped like a filler's plan: close safety checks, one of them in the evening.
FILLER = """
title = "Filler"
version = 1
[limits]
touch = "24h"
gym = "D+2 10:00"
sauna_steam = "D+7 10:00"
[[step]]
id = "card"
when = "T0"
valid_until = "D+1 08:30"
kind = ["card"]
quiet_exempt = true
[[step]]
id = "h3"
when = "T0+3h"
latest = "21:00"
valid_until = "D 21:30"
kind = ["check"]
safety = true
quiet_exempt = true
[[step]]
id = "d1"
when = "D+1 09:00"
valid_until = "D+1 20:00"
kind = ["check"]
safety = true
[[step]]
id = "d3"
when = "D+3 10:00"
valid_until = "D+4 20:00"
kind = ["lift", "check"]
safety = true
[[step]]
id = "d7"
when = "D+7 10:00"
valid_until = "D+10 20:00"
kind = ["lift", "check"]
[[step]]
id = "d14"
when = "D+14 11:00"
valid_until = "D+21 20:00"
kind = ["review", "photo"]
[triage]
critical_until = 3
[triage.expected_until]
redness = 3
swelling = 7
bruise = 14
tender = 7
burning = 0
itch = 2
dry = 7
lump = 14
headache = 1
"""

# One step of every kind in one morning, to see what a cap takes first.
CROWDED = """
title = "Crowded"
version = 1
[limits]
gym = "D+1 10:00"
[[step]]
id = "card"
when = "T0"
valid_until = "D+1 12:00"
kind = ["card"]
quiet_exempt = true
"""


def read(name: str, text: str) -> Protocol:
    """The protocol in ``text``; steps get a template, a button and a source of no interest."""
    data = tomllib.loads(text)
    for step in data["step"]:
        step.setdefault("template", f"steps/{name}/{step['id']}")
        step.setdefault("buttons", ["ok"])
        step.setdefault("sources", ["A1"])
    return parse(name, data, f"{name}.toml")


def crowded(*steps: str) -> Protocol:
    """A protocol with a card and ``steps``, each "id when valid_until kind+kind [key=value]"."""
    text = CROWDED
    for line in steps:
        step_id, when, valid_until, kinds, *rest = (part.strip() for part in line.split("|"))
        listed = ", ".join(f'"{kind}"' for kind in kinds.split("+"))
        text += (
            f'[[step]]\nid = "{step_id}"\nwhen = "{when}"\nvalid_until = "{valid_until}"\n'
            f"kind = [{listed}]\n" + "\n".join(rest) + "\n"
        )
    return read("crowded", text)


FACE = parse("mesotherapy-face", tomllib.loads(FACE_FILE.read_text("utf-8")), str(FACE_FILE))
DERMAL_FILLER = parse(
    "dermal-filler", tomllib.loads(DERMAL_FILE.read_text("utf-8")), str(DERMAL_FILE)
)
BODY = parse("mesotherapy-body", tomllib.loads(BODY_FILE.read_text("utf-8")), str(BODY_FILE))
BODY_FAT = BODY.of("fat-dissolving")
FILLER_PROTOCOL = read("filler", FILLER)


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    """The instant of a local "YYYY-MM-DD HH:MM" in ``zone``, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def done(
    local: str,
    *,
    protocol: Protocol = FACE,
    zone: ZoneInfo = BERLIN,
    visit: str = "v1",
    since: str | None = None,
    target: str | None = None,
    next_visit: str | None = None,
    later_session: bool = False,
) -> VisitFacts:
    """A done visit whose session ended at ``local``; patient and clinic share ``zone``."""
    done_at = at(local, zone)
    coming = at(next_visit, zone) if next_visit else None
    return VisitFacts(
        visit=visit,
        protocol=protocol,
        done_at=done_at,
        done_date=local_date(done_at, zone),
        planned_at=None,
        planned_date=None,
        target_date=date.fromisoformat(target) if target else None,
        next_visit_at=coming,
        next_visit_date=local_date(coming, zone) if coming else None,
        previous_done_date=None,
        later_session=later_session,
        confirmed=False,
        session=visit,
        since=at(since, zone) if since else done_at,
    )


def planned(
    local: str,
    *,
    since: str,
    protocol: Protocol = FACE,
    zone: ZoneInfo = BERLIN,
    clinic: ZoneInfo | None = None,
    visit: str = "v2",
    session: str = "v1",
    previous: str | None = None,
    confirmed: bool = False,
) -> VisitFacts:
    """A planned visit at ``local`` of the clinic's zone, booked at ``since``."""
    planned_at = at(local, clinic or zone)
    return VisitFacts(
        visit=visit,
        protocol=protocol,
        done_at=None,
        done_date=None,
        planned_at=planned_at,
        planned_date=local_date(planned_at, clinic or zone),
        target_date=None,
        next_visit_at=None,
        next_visit_date=None,
        previous_done_date=date.fromisoformat(previous) if previous else None,
        later_session=False,
        confirmed=confirmed,
        session=session,
        since=at(since, zone),
    )


def planning(
    *visits: VisitFacts,
    zone: ZoneInfo = BERLIN,
    quiet: QuietHours = QUIET,
    delivered: Sequence[Delivered] = (),
    now: datetime | None = None,
) -> dict[str, Planned]:
    """The plan by step id, or "visit/step" for several visits; made when the last visit began."""
    made = plan(
        visits,
        zone=zone,
        quiet=quiet,
        delivered=delivered,
        now=now or max(facts.since for facts in visits),
    )
    several = len({facts.visit for facts in visits}) > 1
    found = {f"{p.visit}/{p.step.id}" if several else p.step.id: p for p in made}
    if len(found) < len(made):
        raise AssertionError("a step is planned twice")
    return found


def local(moment: datetime | None, zone: ZoneInfo = BERLIN) -> str | None:
    """What a clock in ``zone`` shows, "YYYY-MM-DD HH:MM"."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") if moment else None


def goes(made: dict[str, Planned], zone: ZoneInfo = BERLIN) -> dict[str, str | None]:
    """When each step that goes is due on the patient's clock."""
    return {key: local(p.due_at, zone) for key, p in made.items() if p.reason is None}


def reasons(made: dict[str, Planned]) -> dict[str, str]:
    """Why each step that does not go stays, with "!" when that is final."""
    return {key: p.reason.value + ("!" if p.final else "") for key, p in made.items() if p.reason}


def handed(facts: VisitFacts, step: str, day: str, *, group: str | None = None) -> Delivered:
    """A delivered, unasked step of a visit."""
    return Delivered(facts.visit, step, facts.session, date.fromisoformat(day), True, group)
