"""Photos: agreed to, judged, kept encrypted, shown side by side, gone when their time is over."""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from bot.demo.chats import Message
from bot.services.photos import MOST_A_DAY
from bot.storage.queries import people
from bot.storage.queries import photos as queries
from bot.storage.tables import Patient
from tests.cast import Actor, Clinic
from tests.pictures import made
from tests.stories.test_courses import add
from tests.stories.test_visits import card_of

NEVER = ("normal", "fine", "harmless", "looks", "healing", "nothing to worry", "do not worry")


def files(clinic: Clinic) -> list[Path]:
    """The files of the photos."""
    return sorted((clinic.rehearsal.app.options.data_dir / "photos").glob("*"))


def asked_for(clinic: Clinic, method: str) -> int:
    """How often the bot called a method of the Bot API."""
    return sum(call.method == method for call in clinic.rehearsal.telegram.calls)


async def states(clinic: Clinic) -> list[str]:
    rows = await clinic.rows("SELECT state, angle FROM photo ORDER BY id")
    return [f"{row['state']}({row['angle']})" if row["angle"] else row["state"] for row in rows]


async def sends(clinic: Clinic, actor: Actor, *pictures: bytes) -> list[str]:
    """One photo or an album, followed until the bot is done with it; what it says to it."""
    actor.news()
    if len(pictures) == 1:
        await actor.does(actor.person.sends_photo, pictures[0])
    else:
        await actor.does(actor.person.sends_album, list(pictures))
        await clinic.forward(seconds=5)
    said = actor.news()
    assert not any(word in each.lower() for word in NEVER for each in said)
    return said


async def agreeing(clinic: Clinic, actor: Actor) -> None:
    """A patient who has joined and agreed to photos."""
    await clinic.enroll(actor, actor.person.first_name)
    await agreeing_now(clinic, actor)


async def agreeing_now(clinic: Clinic, actor: Actor) -> None:
    """A patient who has joined sends a photo and agrees."""
    await sends(clinic, actor, made.sharp())
    await actor.taps("I agree")
    actor.news()


async def test_the_first_photo_asks_and_a_yes_keeps_it(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    passed, asked = await sends(clinic, ana, made.placed())
    assert passed.startswith("Thank you. I have passed your photo to Lumen Clinic.")
    assert asked == (
        "May I keep your photos for your clinic team?\n"
        "Only your clinic team sees them. Each is deleted after 180 days.\n"
        "I cannot read photos. Do you agree?"
    )
    # Nothing is fetched before the yes; a person has it already.
    assert (asked_for(clinic, "getFile"), files(clinic)) == (0, [])
    assert nour.person.last_message.photo == made.placed()
    await ana.taps("I agree")
    (kept,) = ana.news()
    assert kept.startswith("Thank you. I keep 1 photo for your clinic team, for 180 days.")
    assert "I noted: Front." in kept
    assert "Still missing: Left side and Right side." in kept
    assert ana.buttons == ["Left side", "Right side", "Something is wrong"]
    assert await states(clinic) == ["stored(front)"]
    (consent,) = await clinic.rows("SELECT * FROM v_consent WHERE purpose = 'photos'")
    assert consent["withdrawn_at"] is None

    # On the disk it opens to nobody without the key, and holds nothing of where it was taken.
    (file,) = files(clinic)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert b"\xff\xd8\xff" not in file.read_bytes()
    picture = clinic.rehearsal.app.deps.photos.read(file.stem)
    assert picture is not None
    assert b"Secret" not in picture
    assert Image.open(io.BytesIO(picture)).size == made.SIZE
    # Neither does the database know how to fetch it any more.
    assert await clinic.rows("SELECT * FROM photo WHERE sealed IS NOT NULL") == []


async def test_a_no_keeps_nothing_now_or_later(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await sends(clinic, ana, made.sharp())
    await ana.taps("No, keep none")
    assert ana.last_message.startswith("I keep no photos of you.")
    (passed,) = await sends(clinic, ana, made.sharp())
    assert "I have passed your photo" in passed
    assert nour.person.last_message.photo == made.sharp()
    assert await states(clinic) == ["refused", "refused"]
    assert (asked_for(clinic, "getFile"), files(clinic)) == (0, [])
    # The step does not offer it either.
    await clinic.tick("2026-03-17 10:00")
    assert list(ana.find("your day 7 limits").labels) == ["OK", "Skin is not calm"]


async def test_a_yes_taken_back_removes_what_was_kept(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    assert len(files(clinic)) == 1
    await ana.taps("No, keep none", ana.find("May I keep your photos"))
    assert files(clinic) == []
    assert await states(clinic) == ["deleted(front)"]
    (consent,) = await clinic.rows("SELECT * FROM v_consent WHERE purpose = 'photos'")
    assert consent["withdrawn_at"] is not None


async def another_phone(clinic: Clinic) -> Actor:
    """Ana has opened a new link with another phone."""
    nour = clinic.nour
    await clinic.forward(minutes=1)
    await card_of(clinic, "Ana")
    await nour.taps("Make a new link")
    await nour.taps("Make a new link")
    anew = clinic.someone("Ana", username="ana_anew")
    await anew.opens(nour.link)
    return anew


async def test_a_new_phones_yes_is_not_about_what_another_account_sent(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await sends(clinic, ana, made.sharp())
    anew = await another_phone(clinic)
    await anew.taps("Yes, that is me")
    await anew.taps("I am 18+ and I agree")
    await anew.taps("Yes")
    await nour.taps("Yes, confirm", nour.find("Ana, @ana_anew"))
    assert any("Do you agree?" in each for each in await sends(clinic, anew, made.sharp(2)))
    await anew.taps("I agree", anew.find("May I keep your photos"))
    assert await states(clinic) == ["refused", "stored(front)"]
    assert asked_for(clinic, "getFile") == 1
    assert await clinic.rows("SELECT * FROM photo WHERE sealed IS NOT NULL") == []


async def test_photos_move_to_another_phone_but_end_with_a_no_there(clinic: Clinic) -> None:
    await agreeing(clinic, clinic.ana)
    anew = await another_phone(clinic)
    assert (len(files(clinic)), await states(clinic)) == (1, ["stored(front)"])
    await anew.taps("Yes, that is me")
    await anew.taps("No, thanks")
    assert (files(clinic), await states(clinic)) == ([], ["deleted(front)"])


async def test_photos_end_with_the_account_that_says_this_is_not_me(clinic: Clinic) -> None:
    ana, faults = clinic.ana, clinic.rehearsal.telegram.faults
    await agreeing(clinic, ana)
    faults.drop("getFile", delivered=False)
    await sends(clinic, ana, made.sharp(2))
    await ana.says("/settings")
    await ana.taps("This is not me")
    await ana.taps("No, that is not me")
    assert (files(clinic), await states(clinic)) == ([], ["deleted(front)", "refused"])


async def test_a_link_that_reached_somebody_else_ends_no_photo(clinic: Clinic) -> None:
    await agreeing(clinic, clinic.ana)
    other = await another_phone(clinic)
    await other.taps("No, wrong person")
    assert len(files(clinic)) == 1
    assert await states(clinic) == ["stored(front)"]


async def test_an_unanswered_question_is_asked_once_for_an_album(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    said = await sends(clinic, ana, made.sharp(1), made.sharp(2), made.sharp(3))
    assert sum("Do you agree?" in each for each in said) == 1
    await ana.taps("I agree")
    await clinic.forward(seconds=5)
    (kept,) = ana.news()
    assert "I keep 3 photos" in kept
    assert "I noted: Front, Left side and Right side." in kept
    assert "missing" not in kept


async def test_an_album_in_any_order_has_one_thanks_and_its_own_order(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    await clinic.tick("2026-03-11 12:00")
    telegram = clinic.rehearsal.telegram
    seeds = (2, 3, 5)
    await ana.person.sends_album([made.sharp(each) for each in seeds])
    # Nothing has run since: the last of them arrives first.
    first, *_, last = telegram.updates.waiting
    first.update["message"], last.update["message"] = (
        last.update["message"],
        first.update["message"],
    )
    await clinic.settle()
    ana.news()
    await clinic.forward(seconds=5)
    (kept,) = ana.news()
    assert "I keep 3 photos" in kept
    rows = await clinic.rows("SELECT ref, angle FROM photo WHERE album IS NOT NULL")
    shown = {row["angle"]: shows(clinic, row["ref"], seeds) for row in rows}
    assert shown == {"front": 2, "left": 3, "right": 5}


def shows(clinic: Clinic, ref: str, seeds: tuple[int, ...]) -> int:
    """Which of the drawn faces a kept photo shows."""
    kept = Image.open(io.BytesIO(clinic.rehearsal.app.deps.photos.read(ref) or b""))

    def apart(seed: int) -> float:
        return sum(ImageStat.Stat(ImageChops.difference(kept, made.face(seed=seed))).mean)

    return min(seeds, key=apart)


@pytest.mark.parametrize(
    ("bad", "why"),
    [(made.dark(), "dark"), (made.blurred(), "blurred"), (made.tiny(), "small")],
)
async def test_a_retake_is_asked_for_once(clinic: Clinic, bad: bytes, why: str) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    _, again = await sends(clinic, ana, bad)
    assert again.startswith(f"A photo is too {why}.\nPlease take it again, near a window.")
    assert "Still missing: Left side and Right side." in again
    assert await states(clinic) == ["stored(front)", "refused"]
    assert len(files(clinic)) == 1
    # The second one is kept as it is: better than none.
    _, kept = await sends(clinic, ana, bad)
    assert "I keep 1 photo" in kept
    assert await states(clinic) == ["stored(front)", "refused", "stored(left)"]


async def test_what_is_no_picture_does_no_harm(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await agreeing(clinic, ana)
    large = made.sharp() + bytes(20 * 1024 * 1024)
    for name, data, readable in (
        ("face.jpg", made.saved(made.face(), "PNG"), True),
        ("both.jpg", made.polyglot(), True),
        ("page.jpg", made.page(), False),
        ("bomb.png", made.bomb(), False),
        ("half.jpg", made.sharp()[:20_000], False),
        ("large.jpg", large, False),
    ):
        ana.news()
        before = len(files(clinic))
        await ana.does(ana.person.sends_document, data, name, "image/jpeg")
        _, answer = ana.news()
        assert answer.startswith("Thank you. I keep" if readable else "I cannot open a file"), name
        assert "Something is wrong" in answer
        assert len(files(clinic)) == before + readable
        assert nour.person.last_message.attachment is not None, name
    for file in files(clinic):
        picture = clinic.rehearsal.app.deps.photos.read(file.stem) or b""
        assert b"polyglot" not in picture
    # Other documents are nobody's photos.
    calls = asked_for(clinic, "getFile")
    await ana.does(ana.person.sends_document, b"%PDF-1.7", "letter.pdf", "application/pdf")
    assert asked_for(clinic, "getFile") == calls


async def test_a_photo_is_of_the_latest_session_not_of_the_newest_course(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-12 08:00")
    await add(clinic, "2026-03-09 10:00")
    await agreeing_now(clinic, ana)
    (photo,) = await clinic.rows("SELECT visit_id, day FROM photo")
    sessions = await clinic.rows("SELECT id, done_at FROM visit ORDER BY done_at")
    assert len(sessions) == 2
    assert (photo["visit_id"], photo["day"]) == (sessions[-1]["id"], 2)


async def test_an_angle_is_corrected_by_a_tap(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    await ana.taps("Right side")
    assert await states(clinic) == ["stored(right)"]
    (photo,) = files(clinic)
    stranger = clinic.ben
    await clinic.enroll(stranger, "Ben")
    await stranger.forges(f"1:angle:{photo.stem}:left", f"1:angle:{photo.stem}:whole")
    await ana.forges(f"1:angle:{photo.stem}:whole", "1:angle:nothing:left")
    assert await states(clinic) == ["stored(right)"]


async def test_the_practitioner_sees_first_and_newest_and_all(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(clinic.ben, "Ben")
    await agreeing(clinic, ana)
    await sends(clinic, ana, made.sharp(2), made.sharp(3))
    await clinic.tick("2026-03-17 10:00")
    await ana.taps("Send a photo", ana.find("your day 7 limits"))
    assert "Please send the photo here." in ana.last_message
    assert "in this order: Front, Left side and Right side." in ana.last_message
    await sends(clinic, ana, made.sharp(4))

    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("See the photos")
    shown = nour.person.last_message
    assert shown.text.splitlines() == [
        "Ana: photos",
        "From the top down:",
        "- Front: Tue 10 March (day 0), beside it Tue 17 March (day 7)",
    ]
    assert shown.protected
    wide, high = picture_of(shown).size
    assert wide > 1.5 * high
    await nour.taps("See all in order of time")
    sheet = nour.person.last_message
    assert "1. Tue 10 March, day 0, Front" in sheet.text
    assert "4. Tue 17 March, day 7, Front" in sheet.text
    assert picture_of(sheet).width > 0
    assert not any(word in each.text.lower() for word in NEVER for each in (shown, sheet))

    # Nobody else gets there: no patient, no stranger, no button of another time.
    assert shown.inline_keyboard is not None
    ref = str(shown.inline_keyboard[0][0]["callback_data"]).split(":")[2]
    for other in (ana, clinic.ben):
        pictures = [each for each in other.person.received if each.photo]
        await other.forges(f"1:photos:{ref}", f"1:timeline:{ref}")
        assert [each for each in other.person.received if each.photo] == pictures


def picture_of(message: Message) -> Image.Image:
    assert message.photo is not None
    return Image.open(io.BytesIO(message.photo))


async def test_a_photo_is_deleted_when_its_time_is_over(both: Clinic) -> None:
    ana = both.ana
    await agreeing(both, ana)
    await both.forward(days=179)
    assert len(files(both)) == 1
    await both.forward(days=1, hours=1)
    assert files(both) == []
    assert await states(both) == ["deleted(front)"]


async def test_a_clinic_without_photos_asks_for_none_and_keeps_none(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await _set(clinic, photos_on=False)
    (passed,) = await sends(clinic, ana, made.sharp())
    assert "I have passed your photo" in passed
    assert nour.person.last_message.photo == made.sharp()
    assert await states(clinic) == []
    await clinic.tick("2026-03-17 10:00")
    assert "Send a photo" not in ana.find("your day 7 limits").labels
    assert asked_for(clinic, "getFile") == 0


async def _set(clinic: Clinic, **values: Any) -> None:
    async with clinic.rehearsal.app.deps.database.write() as session:
        row = await people.the_clinic(session)
        assert row is not None
        for key, value in values.items():
            setattr(row, key, value)
        session.add(row)


async def test_a_report_of_danger_is_asked_nothing(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    ana.news()
    await ana.does(ana.person.sends_photo, made.sharp(), "there is pus")
    assert not any("May I keep" in each for each in ana.news())
    assert await states(clinic) == ["refused"]


async def test_nobody_fills_the_disk_with_photos(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    for _ in range(2):
        await sends(clinic, ana, *[made.sharp()] * MOST_A_DAY)
    assert len(files(clinic)) == MOST_A_DAY


async def test_nobody_has_the_bot_fetch_without_end(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    calls = asked_for(clinic, "getFile")
    for _ in range(MOST_A_DAY + 2):
        await ana.does(ana.person.sends_document, made.page(), "page.jpg", "image/jpeg")
    # The first photo of the day was one of them.
    assert asked_for(clinic, "getFile") - calls == MOST_A_DAY - 1
    await clinic.forward(days=1)
    _, kept = await sends(clinic, ana, made.sharp(2))
    assert "I keep 1 photo" in kept


async def test_photos_from_before_the_yes_leave_room_for_those_after_it(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    for _ in range(MOST_A_DAY):
        await ana.does(ana.person.sends_photo, made.sharp(), "there is pus")
    assert set(await states(clinic)) == {"refused"}
    await ana.forges("1:keepphotos:yes")
    await sends(clinic, ana, made.sharp())
    assert (await states(clinic))[MOST_A_DAY:] == ["stored(front)"]


async def test_what_was_left_over_is_tidied(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    await sends(clinic, ana, made.sharp(2))
    kept = clinic.rehearsal.app.deps.photos
    lost, left = files(clinic)
    lost.unlink()
    kept.put("nobodys", b"x")
    (left.parent / "half.part").write_bytes(b"x")
    await clinic.forward(hours=2)
    assert files(clinic) == [left]
    assert sorted(each.partition("(")[0] for each in await states(clinic)) == ["deleted", "stored"]
    async with clinic.rehearsal.app.deps.database.read() as session:
        patient = await session.get_one(Patient, 1)
        (row,) = await queries.stored_of(session, patient.id or 0)
        assert row.ref == left.stem


async def test_a_folder_without_its_photos_ends_none_and_a_lead_hears_of_it(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await agreeing(clinic, ana)
    await sends(clinic, ana, made.sharp(2))
    before = files(clinic)
    folder, away = before[0].parent, before[0].parent.with_name("away")
    stored = ["stored(front)", "stored(left)"]

    # Another disk is mounted in its place, and later none at all; what lies there is left alone.
    folder.rename(away)
    folder.mkdir()
    (folder / "nobodys.photo").write_bytes(b"x")
    nour.news()
    await clinic.forward(hours=2)
    assert await states(clinic) == stored
    assert [each.name for each in files(clinic)] == ["nobodys.photo"]
    (told,) = [each for each in nour.news() if "photo" in each]
    assert told.startswith("I do not find the photos that I keep.\nOn ")
    assert "2 photos could not be found." in told
    shutil.rmtree(folder)
    await clinic.forward(hours=3)
    # Nor may one that cannot be read be taken for an empty one.
    folder.write_bytes(b"")
    await clinic.forward(hours=2)
    assert not any("photo" in each for each in nour.news())
    assert await states(clinic) == stored

    folder.unlink()
    away.rename(folder)
    await clinic.forward(hours=2)
    assert (files(clinic), await states(clinic)) == (before, stored)


@pytest.mark.parametrize("path", ["/etc/hostname", "../../etc/hostname", "//x.example/a.jpg"])
async def test_a_path_that_is_not_telegrams_is_not_followed(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    ana, local = clinic.ana, clinic.rehearsal.telegram.files
    await agreeing(clinic, ana)
    honest = local.link
    monkeypatch.setattr(local, "link", lambda *asked: honest(*asked) | {"file_path": path})
    _, answer = await sends(clinic, ana, made.sharp(2))
    assert answer.startswith("I cannot open a file")
    assert len(files(clinic)) == 1


async def test_a_photo_waits_for_telegram(clinic: Clinic) -> None:
    ana, faults = clinic.ana, clinic.rehearsal.telegram.faults
    await agreeing(clinic, ana)
    faults.drop("getFile", delivered=False)
    assert len(await sends(clinic, ana, made.sharp(2))) == 1
    assert await states(clinic) == ["stored(front)", "waiting"]
    await clinic.forward(minutes=1)
    assert "I noted: Left side." in ana.last_message


async def test_what_cannot_be_fetched_comes_after_what_can(clinic: Clinic) -> None:
    ana, ben, faults = clinic.ana, clinic.ben, clinic.rehearsal.telegram.faults
    await agreeing(clinic, ana)
    await agreeing(clinic, ben)
    faults.error("getFile", 500, "restart", times=3)
    await sends(clinic, ana, *[made.sharp(number) for number in (2, 3, 4)])
    kept = ["stored(front)"] * 2
    assert await states(clinic) == [*kept, *["waiting"] * 3]
    # The first that is asked for now is his, though hers came before; the next three fail again.
    faults.error("getFile", 500, "restart", times=3, skip=1)
    await ben.does(ben.person.sends_photo, made.sharp(5))
    await clinic.forward(seconds=40)
    assert await states(clinic) == [*kept, *["waiting"] * 3, "stored(left)"]
    await clinic.forward(minutes=2)
    assert not any(state == "waiting" for state in await states(clinic))
