"""The operator's commands as an operator runs them: processes, a real ``.env``, exit codes."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import bot
from bot import cli, founding
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from bot.rehearsal import demo_clinic, local_settings
from bot.settings import Settings
from bot.storage import schema
from tests.cast import Clinic

COMMANDS = (
    *("init", "invite-lead", "run", "demo", "check", "preview", "triage"),
    *("backup", "restore", "release", "migrate", "doctor", "stats"),
)
LINK = re.compile(r"https://t\.me/aftercare_demo_bot\?start=[A-Za-z0-9_-]{32}")
# What design.md promises that init is given, and no more.
CLINIC = ["init", "--clinic", "Lumen Clinic of Berlin Mitte", "--timezone", "Europe/Berlin"]
CLINIC += ["--phone", "+49 30 5550 100", "--emergency-number", "112"]
STOPS_WITHIN_S = 10.0
PLANTED = "123456789:AAplanted-token-that-nobody-may-ever-read"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence on stderr; anything else there fails."""
        (line,) = self.err.splitlines()
        assert line.startswith("aftercare: "), line
        assert self.code == 1
        return line.removeprefix("aftercare: ")


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody in a folder of their own with a ``.env``, and nothing else set."""

    folder: Path

    def writes_env(self, **settings: str) -> None:
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        (self.folder / ".env").write_text("".join(lines))

    @asynccontextmanager
    async def starts(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command under way; killed if the block ends before it does."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *arguments),
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def runs(self, *arguments: str) -> Ended:
        async with self.starts(*arguments) as process:
            return await ended(process)


async def ended(process: asyncio.subprocess.Process) -> Ended:
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def stopped(process: asyncio.subprocess.Process) -> Ended:
    """How it ends when it is asked to, in time."""
    before = time.monotonic()
    process.send_signal(signal.SIGTERM)
    how = await ended(process)
    assert time.monotonic() - before < STOPS_WITHIN_S
    return how


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def becomes(http: httpx.AsyncClient, status: int) -> dict[str, object]:
    """What ``/readyz`` says once it answers with this status."""
    for _ in range(750):
        try:
            answer = await http.get("/readyz")
        except httpx.ConnectError:
            answer = None
        if answer is not None and answer.status_code == status:
            body: dict[str, object] = answer.json()
            return body
        await asyncio.sleep(0.02)
    raise AssertionError(f"/readyz never became {status}")


def sql(data: Path, statement: str) -> list[tuple[object, ...]]:
    """What the database says through a connection that knows nothing of the bot."""
    with closing(sqlite3.connect(data / "aftercare.db")) as connection, connection:
        return connection.execute(statement).fetchall()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
async def telegram() -> LocalTelegram:
    return LocalTelegram(now=now)


@pytest.fixture
async def server(telegram: LocalTelegram) -> AsyncIterator[Server]:
    async with telegram.serve() as running:
        yield running


async def test_a_clinic_is_made_the_bot_runs_and_its_lead_is_greeted(
    operator: Operator, telegram: LocalTelegram, server: Server
) -> None:
    at = f"127.0.0.1:{free_port()}"
    operator.writes_env(TELEGRAM_BOT_TOKEN=PLANTED, TELEGRAM_API_URL=server.base_url)
    refused = await operator.runs(*CLINIC)
    assert refused.sentence == "Telegram refuses the token; check TELEGRAM_BOT_TOKEN in .env"
    assert [file.name for file in operator.folder.iterdir()] == [".env"]

    operator.writes_env(
        TELEGRAM_BOT_TOKEN=telegram.token,
        TELEGRAM_API_URL=server.base_url,
        HTTP_BIND=at,
        LOG_LEVEL="DEBUG",
        LOG_FORMAT="json",
    )
    made = await operator.runs(*CLINIC)
    assert (made.code, made.err) == (0, "")
    assert "The bot is @aftercare_demo_bot." in made.out
    (link,) = LINK.findall(made.out)
    data = operator.folder / "data"
    assert (mode(data), mode(data / "aftercare.key")) == (0o700, 0o600)
    assert mode(data / "aftercare.db") == 0o600
    # What was not given stands at what is safe.
    assert sql(data, "SELECT sender_name, urgent_number, urgent_place FROM clinic") == [
        ("Lumen Clinic of", "112", "the nearest emergency department")
    ]

    nour = telegram.person("Nour")
    plain = httpx.AsyncClient(trust_env=False, base_url=f"http://{at}", timeout=5)
    async with operator.starts("run") as running, plain as http:
        # While it starts: a clinic is made once, and until it has a lead its link may be lost.
        taken = "this database already has a clinic; use another DATA_DIR"
        other = ["--clinic", "Another Clinic", *CLINIC[3:]]
        assert (await operator.runs("init", *other)).sentence == taken
        lost = link
        again = await operator.runs(*CLINIC, "--opening-hours", "Mon 9 to 12")
        (link,) = LINK.findall(again.out)
        assert link != lost
        assert sql(data, "SELECT opening_hours FROM clinic") == [("Mon 9 to 12",)]
        ready = await becomes(http, 200)
        assert (ready["trouble"], ready["version"]) == (None, bot.__version__)
        assert (await http.get("/healthz")).text == "ok\n"
        assert "aftercare_messages_due 0.0" in (await http.get("/metrics")).text
        assert (await http.post("/telegram/x", json={"update_id": 1})).status_code == 404

        omar = telegram.person("Omar")
        await omar.opens(lost)
        await omar.hears("This link does not work", within=10)
        await nour.opens(link)
        welcome = await nour.hears("Lumen Clinic of Berlin Mitte", within=10)
        assert "You are the lead" in welcome.text
        assert (await operator.runs(*CLINIC)).sentence == taken
        # With the account lost, a new one takes over.
        made = await operator.runs("invite-lead")
        assert (made.code, made.err) == (0, "")
        (link,) = LINK.findall(made.out)
        heir = telegram.person("Nour")
        await heir.opens(link)
        await heir.hears("You are the lead", within=10)
        await nour.says("/patients")
        await nour.hears("You cannot do that here", within=10)

        how = await stopped(running)
    assert how.code == 0
    *logged, _ = [line for line in how.err.splitlines() if line.startswith("{")]
    assert json.loads(logged[0])["action"] == "started"
    assert all(secret not in how.err for secret in (telegram.token, link[-32:], "Nour"))
    assert f"health at http://{at}/readyz" in how.err


async def test_the_bot_waits_for_telegram_and_stops_while_telegram_hangs(
    operator: Operator, telegram: LocalTelegram, server: Server
) -> None:
    at = f"127.0.0.1:{free_port()}"
    options = local_settings(server, telegram.token, operator.folder / "data")
    _, link = await founding.init(options, demo_clinic())
    operator.writes_env(
        TELEGRAM_BOT_TOKEN=telegram.token, TELEGRAM_API_URL=server.base_url, HTTP_BIND=at
    )
    nour = telegram.person("Nour")
    await server.goes_away()
    plain = httpx.AsyncClient(trust_env=False, base_url=f"http://{at}", timeout=5)
    async with plain as http:
        async with operator.starts("run") as running:
            down = await becomes(http, 503)
            assert down["ready"] is False
            assert (await http.get("/healthz")).status_code == 200
            assert (await stopped(running)).code == 0

        await server.listens()
        async with operator.starts("run") as running:
            await becomes(http, 200)
            hanging = telegram.faults.hang("sendMessage", times=None)
            await nour.opens(link)
            await telegram.wait_for(lambda: hanging.hits, 10, "a send that hangs")
            how = await stopped(running)
            assert how.code == 0
            assert "Traceback" not in how.err
    telegram.faults.clear()
    # In the air when it stopped: the next start treats it as unknown.
    assert ("sending", 1) in sql(options.data_dir, "SELECT state, attempts FROM v_message")


async def test_half_sent_posts_do_not_hold_up_the_end(
    operator: Operator, server: Server, telegram: LocalTelegram
) -> None:
    at = f"127.0.0.1:{free_port()}"
    secret = "planted-Secret_1"
    settings = {
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_URL": server.base_url,
        "HTTP_BIND": at,
        "WEBHOOK_URL": "https://care.example/telegram/x",
        "WEBHOOK_SECRET": secret,
    }
    operator.writes_env(**settings)
    assert (await operator.runs(*CLINIC)).code == 0
    async with operator.starts("run") as process:
        async with httpx.AsyncClient(base_url=f"http://{at}", trust_env=False) as http:
            await becomes(http, 200)
        half = (
            "POST /telegram/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\n\r\n{{"
        )
        streams = [await asyncio.open_connection(*at.split(":")) for _ in range(20)]
        for _, writer in streams:
            writer.write(half.encode())
            await writer.drain()
        how = await stopped(process)
        for _, writer in streams:
            writer.close()
    assert how.code == 0
    assert "Traceback" not in how.err
    assert "action=stopped" in re.sub(r"\x1b\[[0-9;]*m", "", how.err)


async def test_a_bot_that_is_told_to_stop_while_it_loads_just_ends(operator: Operator) -> None:
    async with operator.starts("run") as process:
        status = Path(f"/proc/{process.pid}/status")
        async with asyncio.timeout(30):
            while not _waits_for_sigterm(status):  # noqa: ASYNC110 - another process has no bell
                await asyncio.sleep(0.001)
        how = await stopped(process)
    assert how == Ended(0, "", "")


def _waits_for_sigterm(status: Path) -> bool:
    if not status.exists():
        pytest.skip("this system does not tell which signals a process waits for")
    (caught,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", status.read_text())
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


async def test_the_demo_shows_its_page_and_ends_when_told(operator: Operator) -> None:
    # The operator's own settings have no part in it.
    operator.writes_env(TELEGRAM_BOT_TOKEN="1:x", DATABASE_URL="sqlite:///own.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with operator.starts("demo", "--port", "0") as running:
            assert running.stdout is not None
            async with asyncio.timeout(20):
                line = (await running.stdout.readline()).decode()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found is not None, line
            async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
                page = await http.get(found.group())
                assert (page.status_code, "<html" in page.text) == (200, True)
            refused = await operator.runs("demo", "--port", str(port))
            assert refused.sentence == f"port {port} is taken; try: aftercare demo --port 0"
            assert (await stopped(running)).code == 0
    assert [file.name for file in operator.folder.iterdir()] == [".env"]


# The rest needs no process of its own: the commands are called as ``python -m bot`` calls them.


@dataclass(frozen=True, slots=True)
class Desk:
    """The same commands in this process, in a folder of their own."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def runs(self, *arguments: str) -> Ended:
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        said = self.capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ended(left.value.code, said.out, said.err)

    def init(self) -> Settings:
        """A clinic is there, in the folder ``data``."""

        async def make() -> Settings:
            telegram = LocalTelegram(now=now)
            async with telegram.serve() as server:
                options = local_settings(server, telegram.token, self.folder / "data")
                await founding.init(options, demo_clinic())
                return options

        return asyncio.run(make())


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERMINAL_WIDTH", "120")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Desk(tmp_path, capsys)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_every_command_explains_itself(desk: Desk) -> None:
    told = desk.runs("--help")
    assert told.code == 0
    assert set(re.findall(r"^│ (\w[\w-]*) ", told.out, re.M)) == set(COMMANDS)
    for command in COMMANDS:
        told = desk.runs(command, "--help")
        assert told.code == 0
        assert f"Usage: aftercare {command}" in told.out or f" {command} " in told.out
    assert desk.runs("--version") == Ended(0, f"aftercare {bot.__version__}\n", "")
    assert desk.runs("dance").code == 2
    assert desk.runs("check", "--loudly").code == 2
    assert list(desk.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--timezone", "Europe/Nowhere"),
        ("--timezone", "/etc/localtime"),
        ("--phone", "call us"),
        ("--phone", ""),
        ("--phone", "+49 30\n112"),
        ("--emergency-number", "police"),
        ("--urgent-number", "5"),
        ("--clinic", " "),
        ("--clinic", "L" * 61),
        ("--sender-name", "a name of more than twenty letters"),
        ("--sender-name", "two\nlines"),
        ("--urgent-place", "p" * 101),
        ("--opening-hours", "Mon\nTue"),
        ("--opening-hours", "whenever we are here"),
        ("--opening-hours", "Mon to Fri 18:00 to 09:00"),
        ("--language", "tlh"),
        ("--colour", "blue"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_done(
    desk: Desk, option: str, value: str
) -> None:
    refused = desk.runs(*CLINIC, option, value)
    assert refused.code == 2
    assert "Traceback" not in refused.err
    assert list(desk.folder.iterdir()) == []


def test_without_a_clinic_every_command_says_what_to_do(desk: Desk) -> None:
    for command in ("run", "migrate", "stats"):
        assert desk.runs(command).sentence == "the database is empty; run: aftercare init"
    doctor = desk.runs("doctor", "--json")
    assert doctor.code == 1
    assert json.loads(doctor.out)["schema"] == "the database is empty; run: aftercare init"
    assert doctor.err == "aftercare: something is wrong with: token, schema\n"
    assert desk.runs(*CLINIC).sentence == (
        "TELEGRAM_BOT_TOKEN is empty; put the token from @BotFather into .env"
    )
    # Looking creates nothing.
    assert list(desk.folder.iterdir()) == []


def test_an_init_without_telegram_is_one_sentence_and_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", PLANTED)
    monkeypatch.setenv("TELEGRAM_API_URL", f"http://127.0.0.1:{free_port()}")
    assert desk.runs(*CLINIC).sentence == (
        "Telegram cannot be reached; check the network and try again"
    )
    assert list(desk.folder.iterdir()) == []


def test_a_run_that_cannot_work_is_one_sentence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = desk.init()
    assert "TELEGRAM_BOT_TOKEN is empty" in desk.runs("run").sentence
    assert desk.runs("migrate") == Ended(0, "The schema is up to date.\n", "")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", options.telegram_bot_token.get_secret_value())
    with socket.socket() as taken, monkeypatch.context() as wrong:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        wrong.setenv("HTTP_BIND", at)
        assert desk.runs("run").sentence == f"nothing can listen on {at} (Address already in use)"

    before = (options.data_dir / "aftercare.db").read_bytes()
    key = options.keys.read_text()
    options.keys.chmod(0o640)
    assert "is open to other accounts; run: chmod 600" in desk.runs("run").sentence
    options.keys.chmod(0o600)
    options.keys.write_text("A" * 43 + "=\n")
    assert "put back the one that init made" in desk.runs("run").sentence
    doctor = desk.runs("doctor", "--json")
    assert "put back the one that init made" in json.loads(doctor.out)["key"]
    options.keys.write_text(key)
    monkeypatch.setenv("KEY_FILE", str(desk.folder / "elsewhere.key"))
    assert "cannot be read (No such file or directory)" in desk.runs("run").sentence
    monkeypatch.delenv("KEY_FILE")
    assert (options.data_dir / "aftercare.db").read_bytes() == before

    for name, value, said in (
        ("DATABASE_URL", "postgresql://care@127.0.0.1:1/care", "cannot be worked with: "),
        ("MESSAGES_DIR", "nowhere", "nowhere: folder: is not there"),
        ("DATA_DIR", ".env/data", "the database is empty; run: aftercare init"),
        ("HTTP_BIND", "everywhere", "HTTP_BIND: must look like 127.0.0.1:8080"),
    ):
        with monkeypatch.context() as wrong:
            wrong.setenv(name, value)
            assert said in desk.runs("run").sentence

    # Whatever else the database fails at: its own words, and nothing of ours around them.
    sql(options.data_dir, "ALTER TABLE clinic RENAME TO gone")
    for command in ("run", "stats"):
        assert desk.runs(command).sentence == (
            "the database cannot be worked with: no such table: clinic"
        )
    sql(options.data_dir, "ALTER TABLE gone RENAME TO clinic")

    # What a newer program left behind is refused, and left as it is.
    sql(options.data_dir, "UPDATE alembic_version SET version_num = '9999'")
    for command in ("run", "migrate", "stats"):
        assert desk.runs(command).sentence == (
            f"the database has schema 9999, which is newer than this program's {schema.newest()}; "
            "install the newer program again"
        )
    assert desk.runs("doctor").err == "aftercare: something is wrong with: schema\n"


async def test_doctor_and_stats_look_at_a_bot_that_runs(
    clinic: Clinic, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.tick("2026-03-11 10:00")
    monkeypatch.setenv("DATA_DIR", str(desk.folder))
    monkeypatch.setenv("DATABASE_URL", clinic.rehearsal.app.options.database_url)
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", clinic.telegram_bot.token)

    async def asked(command: str) -> Ended:
        # In a thread, as the command brings a loop of its own.
        return await asyncio.to_thread(desk.runs, command, "--json")

    figures = await asked("stats")
    assert (figures.code, figures.err) == (0, "")
    counted = json.loads(figures.out)
    planned = await clinic.rows("SELECT * FROM v_reminder WHERE state = 'planned'")
    assert counted["patients"] == {"active": 1}
    assert counted["reminders"]["planned"] == len(planned)
    assert counted["reminders"]["sent"] == 2
    assert counted["alerts"] == {"open": 0}
    doctor = await asked("doctor")
    assert (doctor.code, doctor.err) == (0, "")
    names = {"token", "messages", "schema", "key", "clinic", "ledger", "sending"}
    assert json.loads(doctor.out) == dict.fromkeys(names, "ok")

    async with clinic.rehearsal.app.deps.database.write() as session:
        await (await session.connection()).exec_driver_sql(
            "UPDATE reminder SET state = 'sent' WHERE step = 'd7'"
        )
    doctor = await asked("doctor")
    assert json.loads(doctor.out)["ledger"] == "1 reminders contradict themselves"
    assert doctor.err == "aftercare: something is wrong with: ledger\n"


def test_check_names_what_a_clinic_wrote_wrong(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.runs("check") == Ended(0, "The messages are sound.\n", "")
    own = desk.folder / "texts" / "en" / "steps"
    own.mkdir(parents=True)
    monkeypatch.setenv("MESSAGES_DIR", "texts")
    (own / "book.html.j2").write_text("{{ sender }}: {{ nonsense }}")
    refused = desk.runs("check")
    assert "book.html.j2" in refused.out
    assert "nonsense" in refused.out
    assert refused.sentence.endswith("to put right in the messages")
    (own / "book.html.j2").write_text("{{ sender|safe }}")
    assert "book.html.j2" in desk.runs("check").out
    (own / "book.html.j2").unlink()
    protocols = desk.folder / "texts" / "protocols"
    protocols.mkdir()
    (protocols / "own.toml").write_text("title = ")
    assert "own.toml" in desk.runs("check").sentence
