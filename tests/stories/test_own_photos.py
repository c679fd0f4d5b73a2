"""The photos in the copy of one's data: on the page, named for a program, and as files."""

import base64
import io
import zipfile
from typing import Any

from bot.services import own_photos
from bot.storage.queries import holdings
from tests.cast import BERLIN, Clinic
from tests.pictures import made
from tests.stories.test_own_data import files
from tests.stories.test_photos import agreeing, sends


def archives(clinic: Clinic) -> list[dict[str, bytes]]:
    """What the archives on Ana's phone hold, the oldest first."""
    found = []
    for message in clinic.ana.person.received:
        sent = message.attachment
        if sent is not None and sent.name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(sent.data)) as whole:
                found.append({name: whole.read(name) for name in whole.namelist()})
    return found


async def rows(clinic: Clinic) -> list[dict[str, Any]]:
    return await clinic.rows("SELECT ref, angle FROM photo WHERE state = 'stored' ORDER BY id")


async def test_photos_come_on_the_page_and_as_files(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await agreeing(clinic, clinic.ben)
    await agreeing(clinic, ana)
    await sends(clinic, ana, made.sharp(2), made.sharp(3))
    kept = clinic.rehearsal.app.deps.photos
    own = (await rows(clinic))[1:]
    assert len(own) == 3
    nour.news()
    ana.news()
    await ana.says("/mydata")
    assert [each.splitlines()[0] for each in ana.news()] == [
        "I am collecting your data. It takes less than a minute.",
        "Lumen: here is a copy of your data.",
        "Lumen: the same data for a computer program.",
        "Lumen: your photos.",
    ]
    assert nour.news() == []

    page, held = files(ana)
    (archive,) = archives(clinic)
    pictures = {row["ref"]: kept.read(row["ref"]) or b"" for row in own}
    assert archive == {
        f"2026-03-10-{row['angle']}-{row['ref']}.jpg": pictures[row["ref"]] for row in own
    }
    assert [each["file"] for each in held["photos"]] == list(archive)
    assert page.count("<img ") == 3
    assert "<!--photo" not in page
    for name, picture in archive.items():
        shown = base64.b64encode(picture).decode()
        assert f'<img alt="{name}" src="data:image/jpeg;base64,{shown}">' in page
        assert f"<td>{name}</td>" in page
    # Ben's stay his, and what was made for the copy is kept nowhere.
    other = (await rows(clinic))[0]["ref"]
    assert other not in page
    assert base64.b64encode(next(iter(pictures.values()))[:300]) not in await clinic.stored()


async def test_many_photos_come_in_several_files_and_the_page_shows_the_newest(
    clinic: Clinic,
) -> None:
    ana, deps = clinic.ana, clinic.rehearsal.app.deps
    await agreeing(clinic, ana)
    await sends(clinic, ana, made.sharp(2), made.sharp(3))
    async with deps.database.read() as session:
        stored = await holdings.photos(session, 1)
    sizes = [deps.photos.size(each.ref) for each in stored]
    assert all(sizes)
    parts = own_photos.archives(deps.photos, stored, BERLIN, most=sizes[0] + sizes[1])
    assert [list(part) for part in parts] == [
        [stored[0].ref, stored[1].ref],
        [stored[2].ref],
    ]
    # One that alone is too large still goes, by itself.
    assert len(own_photos.archives(deps.photos, stored, BERLIN, most=1)) == 3

    page = "".join(own_photos.place(each.ref, f"{each.id}.jpg") for each in stored).encode()
    room = 2 * max(sizes)
    shown = await own_photos.on_page(deps.photos, page, most=room)
    assert b'alt="3.jpg"' in shown
    assert b'alt="1.jpg"' not in shown
    assert len(shown) < room + 500
    assert b"<!--" not in shown


async def test_a_photo_that_is_gone_or_damaged_keeps_nothing_else_back(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    await sends(clinic, ana, made.sharp(2), made.sharp(3))
    first, second, _ = (row["ref"] for row in await rows(clinic))
    folder = clinic.rehearsal.app.options.data_dir / "photos"
    (folder / f"{first}.photo").unlink()
    (folder / f"{second}.photo").write_bytes(b"no photo of ours")
    await ana.says("/mydata")
    page, _ = files(ana)
    assert page.count("<img ") == 1
    (archive,) = archives(clinic)
    assert len(archive) == 1


async def test_who_keeps_none_gets_no_file_of_photos(clinic: Clinic) -> None:
    ana = clinic.ana
    await agreeing(clinic, ana)
    await ana.taps("No, keep none", ana.find("May I keep your photos"))
    ana.news()
    await ana.says("/mydata")
    assert len(ana.news()) == 3
    assert archives(clinic) == []
    page, held = files(ana)
    assert "<img" not in page
    assert [each["file"] for each in held["photos"]] == [None]
