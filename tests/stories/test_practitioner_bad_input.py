"""What a practitioner gets wrong, or somebody tries who is none: one clear sentence, no change."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.states import VisitState
from bot.services.deps import new_ref
from bot.storage import sealed
from bot.storage.tables import Clinic as ClinicRow
from bot.storage.tables import Patient, Practitioner, Visit
from tests.cast import Actor, Clinic
from tests.stories.test_visits import book, card_of

NOT_ALLOWED = "You cannot do that here. Nothing was changed."
STALE = "This button is out of date. Please use the menu below."
NOT_UNDERSTOOD = "I did not understand that. Nothing was changed, and no patient has seen it."
BAD_DATE = "I cannot read this as a date and time: "
TOO_FAR = "That date is too far away: "
SKIPPED = "That hour does not exist, as the clocks go forward: "
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x20\x00\x00\x00\x20"


async def facts(clinic: Clinic) -> list[list[dict[str, Any]]]:
    """All that is known of patients, their courses, visits and reminders, and of the team."""
    found = [
        await clinic.rows(f"SELECT * FROM {table} ORDER BY id")
        for table in ("patient", "course", "visit", "reminder", "invitation", "practitioner")
    ]
    for row in found[0]:
        row.pop("last_heard_at")
    return found


async def refused(clinic: Clinic, actor: Actor, answers: Mapping[str, str]) -> None:
    """Each of the words is answered by one message that begins so, and nothing else happens."""
    before = await facts(clinic)
    others = {each: len(each.heard) for each in (clinic.nour, clinic.ana, clinic.ben)}
    others.pop(actor, None)
    told = len(actor.heard)
    member = await clinic.member(actor)
    for words in answers:
        if not member:
            await clinic.settle()
            await clinic.forward(seconds=11)
        await actor.person.says(words)
    await clinic.settle()
    heard = actor.heard[told:]
    assert len(heard) == len(answers)
    for (words, sentence), answer in zip(answers.items(), heard, strict=True):
        assert answer.startswith(sentence), words
    assert {each: len(each.heard) for each in others} == others
    assert await facts(clinic) == before


async def forged(clinic: Clinic, actor: Actor, taps: Sequence[str], sentence: str) -> None:
    """Each tap on a button that the bot never made is answered so, and nothing else happens."""
    before = await facts(clinic)
    told = len(actor.heard)
    message = actor.person.last_message
    message.inline_keyboard = [[{"text": data, "callback_data": data}] for data in taps]
    member = await clinic.member(actor)
    for data in taps:
        if not member:
            # Somebody who is nobody here is answered once in ten seconds.
            await clinic.settle()
            await clinic.forward(seconds=11)
        await actor.person.taps(data, message)
    await clinic.settle()
    heard = actor.heard[told:]
    assert len(heard) == len(taps)
    for data, answer in zip(taps, heard, strict=True):
        assert answer.startswith(sentence), data
    assert await facts(clinic) == before


async def test_an_enrolment_gone_wrong_changes_nothing(clinic: Clinic) -> None:
    nour = clinic.nour
    form = "Please write it like this:\n/enroll Anna mesotherapy-face"
    unknown = (
        "I do not know the treatment {}, or it is not approved. Nobody was added.\n"
        "Choose one of these and write it after the name:\n"
        "- dermal-filler\n- mesotherapy-body\n- mesotherapy-face"
    )
    name = "Please send a name or a code. It has at most 64 characters."
    answers = {
        "/enroll mesotherapy-face": form,
        "/enroll 14:30": form,
        "/enroll Anna botox": unknown.format("botox"),
        "/enroll Anna botox today 14:30": unknown.format("botox"),
        "/enroll Anna Lee-Marie holy-water 09.03. at 14:30": unknown.format("holy-water"),
        "/enroll Anna Maria": unknown.format("Maria"),
        "/enroll Anna mesotherapy-face 31.02. 10:00": f"{BAD_DATE}31.02. 10:00",
        "/enroll Anna mesotherapy-face 25:00": f"{BAD_DATE}25:00",
        "/enroll Anna mesotherapy-face soon": f"{BAD_DATE}soon",
        "/enroll Anna mesotherapy-face 09.03.2027 14:30": f"{TOO_FAR}09.03.2027 14:30",
        "/enroll Anna mesotherapy-face 01.01.2026 14:30": f"{TOO_FAR}01.01.2026 14:30",
        f"/enroll {'x' * 65} mesotherapy-face": name,
        f"/enroll {'<' * 64} mesotherapy-face": name,
        "/enroll \u200b\u202e mesotherapy-face": name,
        "/unknown": "I do not know that command.",
    }
    await refused(clinic, nour, answers)
    await nour.presses("New patient")
    await refused(
        clinic, nour, dict.fromkeys(("\u2063", "...", "<<<>>>", "x" * 65, "x" * 4000), name)
    )

    # A name that only looks dangerous is a name; two taps on Create make one patient.
    hostile = '<b>{{ 7*7 }}</b> & "Anna" \u202e'
    await nour.says(hostile)
    shown = hostile.removesuffix(" \u202e")
    assert nour.last_message == f"{shown}: which treatment?"
    await nour.taps("mesotherapy, face")
    await nour.person.taps("Create and show QR")
    await nour.taps("Create and show QR")
    assert not any(words.startswith(STALE) for words in nour.heard)
    assert sum("Ask <b>{{ 7*7 }}</b>" in words for words in nour.heard) == 1
    assert len(await clinic.rows("SELECT * FROM patient")) == 1
    again = f"You have just enrolled {shown}. Nothing was changed."
    await refused(clinic, nour, {f"/enroll {shown} mesotherapy-face": again})
    await clinic.forward(minutes=2)
    await nour.says(f"/enroll {shown} mesotherapy-face")
    assert len(await clinic.rows("SELECT * FROM patient")) == 2
    await clinic.ana.opens(nour.link)
    assert f"Are you {shown}?" in clinic.ana.last_message
    await nour.presses("Today")
    assert '<b>{{ 7*7 }}</b> & "Anna…' in nour.last_message


async def test_a_screen_of_another_patient_is_out_of_date(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.presses("New patient")
    await nour.says("Ana")
    await nour.taps("mesotherapy, face")
    anas = nour.person.last_message
    await nour.presses("New patient")
    asked = nour.person.last_message
    await nour.says("Ben")
    for label in ("Create and show QR", "Change the session time", "Preview the plan", "Cancel"):
        await nour.taps(label, anas)
        assert nour.last_message.startswith(STALE), label
    assert await clinic.rows("SELECT * FROM patient") == []
    await nour.taps("Cancel", asked)
    await nour.taps("mesotherapy, face", nour.find("Ben: which treatment?"))
    assert nour.last_message.startswith(STALE)

    # A date is for the patient whose card is open, or for nobody.
    await clinic.enroll(ana)
    await nour.says("/enroll Ben mesotherapy-face")
    await card_of(clinic, "Ana")
    await nour.taps("Set the next visit")
    await nour.presses("Today")
    await refused(clinic, nour, {"28.03. 18:30": NOT_UNDERSTOOD})
    await card_of(clinic, "Ana")
    await nour.taps("Set the next visit")
    bens = (await clinic.rows("SELECT ref FROM patient ORDER BY id DESC"))[0]["ref"]
    await nour.forges(f"1:card:{bens}")
    assert nour.last_message.startswith("Ben, invited")
    await refused(clinic, nour, {"28.03. 18:30": NOT_UNDERSTOOD})


async def test_dates_that_cannot_be_meant_change_nothing(clinic: Clinic) -> None:
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    await clinic.tick("2026-03-12 12:00")
    await book(clinic, "Ana", "28.04. 18:30")
    past = "That time has passed. A visit needs a time that is still to come."
    future = "That time is still to come. A session that is done needs a time in the past."
    for button, answers in {
        "Move the visit": {
            "31.02. 10:00": BAD_DATE,
            "30.02.2026 10:00": BAD_DATE,
            "25:00": BAD_DATE,
            "next Tuesday": BAD_DATE,
            "28.04.2027 18:30": TOO_FAR,
            "29.03. 02:30": SKIPPED,
            "yesterday 18:30": past,
            "11:00": past,
            "28.04. 18:30": "The visit of Ana is booked for that time already.",
        },
        "Session done earlier": {
            "tomorrow 9:00": future,
            "12:30": future,
            "12.02.2026 9:00": TOO_FAR,
            "09.03. 9:00": "A later session is on record. Nothing was changed.",
            "10.03. 14:32": "This session of Ana is on record already.",
        },
        "Correct the session time": {
            "13.03.2026 9:00": future,
            "10.03.2025 9:00": TOO_FAR,
            "24:00": BAD_DATE,
        },
    }.items():
        await card_of(clinic, "Ana")
        await nour.taps(button)
        await refused(clinic, nour, answers)
        # The question stays open, so that it can be put right; then it is closed.
        await nour.taps("Cancel")
        await refused(clinic, nour, {"tomorrow 10:00": NOT_UNDERSTOOD})

    # What is no text at all: one answer, for an album too.
    before = await facts(clinic)
    told = len(nour.heard)
    await nour.does(nour.person.sends_sticker)
    await nour.does(nour.person.sends_album, [PNG, PNG, PNG])
    await nour.does(nour.person.sends_voice)
    await nour.does(nour.person.sends_album, [PNG, PNG])
    assert [words.startswith(NOT_UNDERSTOOD) for words in nour.heard[told:]] == [True] * 4
    assert await facts(clinic) == before


async def test_whoever_is_no_practitioner_is_refused(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await ana.reports_danger()
    patient = (await clinic.rows("SELECT ref FROM patient"))[0]["ref"]
    visit = (await clinic.rows("SELECT ref FROM visit"))[0]["ref"]
    alert = (await clinic.rows("SELECT ref FROM alert"))[0]["ref"]
    me = (await clinic.rows("SELECT ref FROM practitioner"))[0]["ref"]
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    action = (await clinic.rows("SELECT ref FROM action ORDER BY id DESC"))[0]["ref"]
    taps = [
        *("1:new", "1:protocols", "1:patients:0", "1:protocol:mesotherapy-face:0"),
        *("1:approve:mesotherapy-face:0", "1:test:mesotherapy-face", "1:invite:practitioner"),
        *(
            f"1:remove:{me}",
            "1:create:x",
            "1:cancel:x",
            "1:newplan:x",
            "1:treat:mesotherapy-face:x",
        ),
        *(f"1:confirm:{patient}:yes", f"1:ack:{alert}", f"1:undo:{action}", f"1:target:{visit}:3"),
        f"1:pausefor:{patient}:3",
        *(f"1:{act}:{patient}" for act in ("card", "plan", "sent", "session", "cancelvisit")),
        *(f"1:{act}:{patient}" for act in ("ppause", "presume", "pstop", "stopcourse", "link")),
        *(f"1:{act}:{patient}" for act in ("setvisit", "sessionat", "correct", "relink")),
        f"1:older:{patient}:x",
        f"1:newer:{patient}:x",
    ]
    told = len(nour.heard)
    await ben.says("hello")
    commands = ("/enroll Eve mesotherapy-face", "/today", "/patients", "/team", "/undo")
    for actor, some in ((ana, taps), (ben, taps[::4])):
        await forged(clinic, actor, some, NOT_ALLOWED)
        await refused(clinic, actor, dict.fromkeys(commands, NOT_ALLOWED))
    assert len(nour.heard) == told


async def test_what_belongs_to_another_clinic_is_out_of_reach(clinic: Clinic) -> None:
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    async with clinic.rehearsal.app.deps.database.write() as session:
        own = (await clinic.rows("SELECT ref FROM patient"))[0]["ref"]
        other = ClinicRow(
            **(await session.get_one(ClinicRow, 1)).model_dump(exclude={"id", "ref", "name"}),
            ref=new_ref(),
            name="Elsewhere",
        )
        session.add(other)
        await session.flush()
        theirs = Practitioner(
            ref=new_ref(), clinic_id=other.id or 0, role="lead", created_at=clinic.now
        )
        session.add(theirs)
        await session.flush()
        foreign = Patient(
            ref=new_ref(),
            clinic_id=other.id or 0,
            practitioner_id=theirs.id or 0,
            created_at=clinic.now,
        )
        sealed.write(session, foreign, {"name": "Somebody"})
        session.add(foreign)
        await session.flush()
        visit = Visit(
            ref=new_ref(),
            clinic_id=other.id or 0,
            patient_id=foreign.id or 0,
            course_id=1,
            state=VisitState.DONE,
            done_at=clinic.now,
            done_date=clinic.now.date(),
            created_at=clinic.now,
        )
        session.add(visit)
    taps = [
        *(f"1:{act}:{foreign.ref}" for act in ("card", "plan", "sent", "session", "cancelvisit")),
        *(f"1:{act}:{foreign.ref}" for act in ("ppause", "presume", "pstop", "stopcourse", "link")),
        *(f"1:{act}:{foreign.ref}" for act in ("setvisit", "sessionat", "correct", "relink")),
        *(f"1:{act}:{foreign.ref}:x" for act in ("older", "newer")),
        *(f"1:confirm:{foreign.ref}:yes", f"1:pausefor:{foreign.ref}:3"),
        *(f"1:target:{visit.ref}:3", f"1:remove:{theirs.ref}"),
        # Numbers and words that no button of ours holds.
        *("1:card:1", "1:card", "1:card:", f"1:card:{own}:x", f"2:card:{own}", "nonsense", "1:zzz"),
        *(f"1:pausefor:{own}:4", f"1:pausefor:{own}:-3", "1:patients:x", "1:patients:-1"),
        *("1:protocol:mesotherapy-face:²", "1:protocol:nothing:0", "1:invite:lead", "1:undo:x"),
        *("1:approve:mesotherapy-face:x", "1:target:x:3", "1:ack:x", "1:confirm:x:yes"),
    ]
    await forged(clinic, nour, taps, STALE)
    assert not any("Somebody" in words for words in nour.heard)
    await nour.presses("Patients")
    assert nour.buttons == ["Ana, active", "Add a patient"]
