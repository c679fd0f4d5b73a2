"""Logs: no token in any record, no name, word or link of a person in any line."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from telegram import Bot

from bot import logs
from bot.storage.queries import people
from tests.cast import Clinic

TOKENS = ["123456789:AAplanted-token-that-nobody-may-ever-read", "7:planted"]
OTHER = "987654321:BBanother-token-of-somebody-else-altogether"


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Logging as the bot configures it, and afterwards as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("token", TOKENS)
def test_the_token_is_in_no_record(
    capsys: pytest.CaptureFixture[str], form: str, token: str
) -> None:
    quoted = token.replace(":", "%3A")
    logs.configure("DEBUG", form, token)
    log = logging.getLogger("bot.planted")
    log.info("asked %s of %r", f"https://telegram.example/bot{token}/getMe", Bot(token))
    log.info("posted to /bot%s/getMe and /bot%s/", quoted, quoted.replace("%3A", "%3a"))
    log.warning("told", extra={"action": "told", "cause": f"bot{token}", "address": quoted})
    log.info("somebody else's: %s", OTHER)
    log.info("arguments that do not fit: %d", token)
    try:
        try:
            raise ValueError(f"no such bot: {token}")
        except ValueError as error:
            raise httpx.ConnectError(f"https://telegram.example/bot{quoted}/getMe") from error
    except httpx.ConnectError:
        log.exception("failed", stack_info=True, extra={"action": "failed"})
    # Loud libraries write addresses, with the token in them, at INFO.
    logging.getLogger("httpx").info("HTTP Request: POST https://x/bot%s/getMe", token)
    logging.getLogger("httpx").warning("HTTP Request: POST https://x/bot%s/getMe", token)
    logging.getLogger("telegram.ext").debug("Processing update %s", {"text": "planted"})

    said = capsys.readouterr().err
    assert "planted" not in said
    assert "another-token" not in said
    assert said.count("[token]") >= 10
    assert "action" in said
    assert "Traceback" in said
    assert said.count("HTTP Request") == 1


@pytest.mark.usefixtures("own_logging")
async def test_a_whole_enrollment_leaves_nothing_of_a_person_in_the_log(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("DEBUG", "json", clinic.telegram_bot.token)
    nour, zelda = clinic.nour, clinic.someone("Zeldafirst", username="zelda_account")
    await clinic.enroll(zelda, "Zeldaname")
    code = nour.link.partition("start=")[2]
    await zelda.says("My left cheek feels xylophonic today")
    await zelda.taps("Something is wrong", zelda.find("your care card"))
    await zelda.taps("Something milder")
    await zelda.taps("Cold sore")
    await zelda.taps("Done")
    await zelda.opens("https://t.me/aftercare_demo_bot?start=a-code-that-was-typed-wrong")
    await nour.says("/enroll Zeldaname nosuchprotocol")
    await zelda.does(zelda.person.blocks)
    await clinic.tick("2026-03-11 10:00")

    said = lines(capsys)
    shown = json.dumps(said)
    assert [line["action"] for line in said].count("delivered") > 10
    for private in [
        *("Zelda", "zelda_account", "Nour", "nour_lumen", "xylophonic", "cheek", "nosuchprotocol"),
        *("cold_sore", "cold sore"),
        *(code, "a-code-that-was-typed-wrong", clinic.telegram_bot.token, "care card"),
        str(zelda.person.id),
        str(nour.person.id),
    ]:
        assert private not in shown, private


@pytest.mark.usefixtures("own_logging")
async def test_a_failure_is_told_without_the_words_that_met_it(
    clinic: Clinic,
    capsys: pytest.CaptureFixture[str],
    failures: list[str],
) -> None:
    async with clinic.rehearsal.app.deps.database.write() as session:
        found = await people.the_clinic(session)
        assert found is not None
        found.timezone = "Mars/Olympus"
    logs.configure("INFO", "json", clinic.telegram_bot.token)
    await clinic.nour.says("/enroll Zeldaname mesotherapy-face yesterday 10:00")
    # What Telegram never sends: handlers and the library's parser meet it all the same.
    clinic.rehearsal.telegram.updates.inject({"message": {"text": "xylophonic", "from": "Nour"}})
    await clinic.settle()

    said = lines(capsys)
    failed = [line for line in said if line["action"] == "handler_failed"]
    assert len(failed) == 3
    assert failed[0]["cause"].startswith("ZoneInfoNotFoundError at ")
    assert "xylophonic" not in json.dumps(said)
    assert "Zelda" not in json.dumps(said)
    assert "Nour" not in json.dumps(said)
    assert [row["state"] for row in await clinic.rows("SELECT * FROM v_update")][-2:] == [
        "quarantined",
        "quarantined",
    ]
    # The jobs that go by the clinic's hours fail in every round meanwhile.
    assert len([each for each in failures if not each.startswith("job_failed")]) == 3
    failures.clear()
