"""What fails for one patient when its time comes, and what becomes of everybody else."""

from sqlalchemy import text

from tests.cast import Actor, Clinic
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
