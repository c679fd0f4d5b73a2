"""What is sealed: unreadable in the database, bound to its row, opened by its own key alone."""

import base64
import stat
from pathlib import Path

import pytest
from sqlmodel import col, select

from bot import founding
from bot.app import App
from bot.clock import PushedClock
from bot.rehearsal import demo_clinic
from bot.storage import sealed, vault
from bot.storage.tables import Patient, Practitioner, Update
from bot.storage.vault import Vault, VaultError
from tests.cast import Clinic

OLD, NEW, FOREIGN = (bytes([number]) * 32 for number in range(3))


def line(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode() + "\n"


async def test_no_name_no_word_and_no_link_is_readable_in_the_database(both: Clinic) -> None:
    nour, zelda = both.nour, both.someone("Zeldafirst", username="zelda_account")
    await both.enroll(zelda, "Zeldaname")
    code = nour.link.partition("start=")[2]
    await zelda.says("My left cheek feels xylophonic today")
    assert "xylophonic" in nour.last_message
    await zelda.taps("Something is wrong", zelda.find("your care card"))
    await zelda.taps("Something milder")
    await zelda.taps("Cold sore")
    await zelda.taps("Done")
    await nour.says("/enroll Quentinname mesotherapy-face")
    unused = nour.link.partition("start=")[2]
    # Half a conversation: the name typed so far waits in a row of its own.
    await nour.says("New patient")
    await nour.says("Walburganame")

    held = await both.stored()
    assert len(held) > 10_000
    assert unused != code
    for secret in [
        *("Zeldaname", "Quentinname", "Walburganame", "Zeldafirst", "zelda_account", "nour_lumen"),
        *("Nour", "xylophonic", "your care card", "cold_sore", "a cold sore"),
        *(code, unused, both.rehearsal.lead_link.partition("start=")[2]),
        both.telegram_bot.token,
    ]:
        assert secret.encode() not in held, secret


async def test_a_sealed_value_opens_in_its_own_row_only(clinic: Clinic) -> None:
    await clinic.nour.says("/enroll Ana mesotherapy-face")
    await clinic.nour.says("/enroll Ben mesotherapy-face")
    async with clinic.rehearsal.app.deps.database.read() as session:
        ana, ben = (await session.exec(select(Patient).order_by(col(Patient.id)))).all()
        nour = (await session.exec(select(Practitioner))).one()
        update = (await session.exec(select(Update))).first()
        assert update is not None
        assert sealed.read(session, ana)["name"] == "Ana"
        for moved_to in (ben, nour, update):
            moved_to.sealed = ana.sealed
            with pytest.raises(VaultError):
                sealed.read(session, moved_to)
        whole = ana.sealed
        assert whole is not None
        # One bit: a byte set to a fixed value is now and then the one it was.
        ana.sealed = whole[:-1] + bytes([whole[-1] ^ 1])
        with pytest.raises(VaultError):
            sealed.read(session, ana)
        session.expunge_all()


def test_the_first_key_seals_and_every_key_opens(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(line(OLD))
    file.chmod(0o600)
    before = vault.open_key_file(file).seal({"name": "Ana"}, table="patient", ref="a")

    file.write_text(line(NEW) + line(OLD))
    both_keys = vault.open_key_file(file)
    assert both_keys.open(before, table="patient", ref="a") == {"name": "Ana"}
    since = both_keys.seal({"name": "Ana"}, table="patient", ref="a")
    assert Vault([NEW]).open(since, table="patient", ref="a") == {"name": "Ana"}
    for keys, value in (([OLD], since), ([NEW], before), ([FOREIGN], since)):
        with pytest.raises(VaultError, match="does not open this database"):
            Vault(keys).open(value, table="patient", ref="a")
    assert both_keys.open(None, table="patient", ref="a") == {}
    # The same words never look the same twice.
    assert since != both_keys.seal({"name": "Ana"}, table="patient", ref="a")


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "safe" / "keys"
    vault.create_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(base64.urlsafe_b64decode(file.read_text().strip())) == 32
    made = file.read_text()
    vault.create_key_file(file)
    assert file.read_text() == made


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (line(OLD), 0o640, "is open to other accounts; run: chmod 600"),
        (line(OLD), 0o604, "is open to other accounts; run: chmod 600"),
        ("", 0o600, "holds a line that is no key"),
        ("short\n", 0o600, "holds a line that is no key"),
        (line(OLD) + "!!!!\n", 0o600, "holds a line that is no key"),
        ("\u00e4" * 44, 0o600, "holds a line that is no key"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_key_file_of_no_use_is_refused(
    tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content, encoding="utf-8")
        file.chmod(mode)
    with pytest.raises(VaultError) as refused:
        vault.open_key_file(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_with_another_key_the_bot_does_not_start_and_changes_nothing(clinic: Clinic) -> None:
    options = clinic.rehearsal.app.options
    await clinic.rehearsal.app.stop()
    before = await clinic.stored()
    own = options.keys.read_text()

    options.keys.write_text(line(FOREIGN))
    other = App(options, PushedClock(clinic.now))
    with pytest.raises(VaultError, match="put back the one that init made"):
        await other.start(web=False)
    await other.stop()
    assert await clinic.stored() == before

    options.keys.unlink()
    with pytest.raises(VaultError, match="cannot be read"):
        await founding.init(options, demo_clinic())
    assert not options.keys.exists()
    assert await clinic.stored() == before

    options.keys.write_text(line(NEW) + own)
    options.keys.chmod(0o600)
    again = App(options, PushedClock(clinic.now))
    await again.start(web=False)
    await again.stop()
