"""What fails for one patient when its time comes, and what becomes of everybody else."""

from sqlalchemy import text

from tests.cast import Actor, Clinic
from tests.pictures import made
from tests.stories.test_photos import agreeing, sends, states
from tests.stories.test_visits import book


async def garbles(clinic: Clinic, patient: Actor) -> None:
    """As a disk with a fault would leave it: the patient's sealed column cannot be opened."""
    async with clinic.rehearsal.app.deps.database.write() as session:
        await session.exec(
            text(  # type: ignore[call-overload] # plain SQL
                "UPDATE patient SET sealed = (SELECT sealed FROM inbox LIMIT 1)"
                f" WHERE telegram_id = {patient.person.id}"
            )
        )


async def garbles_photos(clinic: Clinic, state: str, which: str = "") -> None:
    """The same for what is known of photos."""
    async with clinic.rehearsal.app.deps.database.write() as session:
        await session.exec(
            text(  # type: ignore[call-overload] # plain SQL
                "UPDATE photo SET sealed = (SELECT sealed FROM inbox LIMIT 1)"
                f" WHERE state = '{state}' {which}"
            )
        )


async def test_an_unrecorded_visit_is_asked_about_although_another_s_fails(
    both: Clinic, failures: list[str]
) -> None:
    for patient, name in ((both.ana, "Ana"), (both.ben, "Ben")):
        await both.enroll(patient, name)
        await book(both, name, "2026-03-12 10:00")
    await garbles(both, both.ana)
    await both.tick("2026-03-13 10:30")
    assert "Nobody recorded the visit of Ben" in both.nour.find("Nobody recorded").text
    assert "job_failed" in {line.split()[0] for line in failures}
    failures.clear()


async def test_photos_are_kept_although_another_s_cannot_be(
    both: Clinic, failures: list[str]
) -> None:
    ana, ben = both.ana, both.ben
    await agreeing(both, ana)
    await agreeing(both, ben)
    await sends(both, ana, made.dark())
    await garbles_photos(both, "refused")
    # Whether she was asked to take it again cannot be read any more.
    await sends(both, ana, made.dark())
    await sends(both, ana, made.dark())
    hers = ["refused", "waiting", "waiting"]
    assert (await states(both))[2:] == hers
    _, kept = await sends(both, ben, made.sharp(5))
    assert "I noted: Left side." in kept
    assert (await states(both))[2:] == [*hers, "stored(left)"]
    # It is tried again, more and more seldom.
    await both.forward(hours=1)
    assert (await states(both))[2:] == [*hers, "stored(left)"]
    assert {line.split()[0] for line in failures} == {"photo_broken"}
    assert 2 * 3 <= len(failures) <= 2 * 8
    failures.clear()


async def test_an_album_is_kept_but_for_the_photo_that_nobody_can_read(
    both: Clinic, failures: list[str]
) -> None:
    ana, faults = both.ana, both.rehearsal.telegram.faults
    await agreeing(both, ana)
    faults.error("getFile", 500, "restart", times=2)
    await sends(both, ana, made.sharp(2), made.sharp(3))
    assert (await states(both))[1:] == ["waiting"] * 2
    await garbles_photos(both, "waiting", "AND id = 2")
    ana.news()
    await both.forward(minutes=1)
    assert (await states(both))[1:] == ["refused", "stored(left)"]
    kept, unreadable = ana.news()
    assert "I keep 1 photo" in kept
    assert unreadable.startswith("I cannot open a file")
    assert "photo_broken" in {line.split()[0] for line in failures}
    failures.clear()


async def test_who_left_the_time_zone_open_joins_although_another_cannot(
    both: Clinic, failures: list[str]
) -> None:
    for patient, name in ((both.ana, "Ana"), (both.ben, "Ben")):
        await both.nour.says(f"/enroll {name} mesotherapy-face")
        await patient.opens(both.nour.link)
        await patient.taps("Yes, that is me")
        await patient.taps("I am 18+ and I agree")
        await both.nour.taps("Yes, confirm")
    await garbles(both, both.ana)
    await both.forward(minutes=11)
    assert any("your care card" in words for words in both.ben.heard)
    assert not any("your care card" in words for words in both.ana.heard)
    assert "job_failed" in {line.split()[0] for line in failures}
    failures.clear()
