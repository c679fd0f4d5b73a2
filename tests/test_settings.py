"""Settings: what ``.env.example`` lists, what blank means, what a wrong value is told."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from bot import cli
from bot.settings import Settings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"
PLANTED = "123456789:AAplanted-token-that-nobody-may-ever-read"


def listed() -> dict[str, str]:
    """The settings of ``.env.example`` in its order, each once."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    found = {name: value for name, _, value in pairs}
    assert len(found) == len(pairs)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with no setting from anywhere."""
    for name in listed():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_lists_every_setting_with_its_default(folder: Path) -> None:
    assert list(listed()) == [name.upper() for name in Settings.model_fields]
    defaults = Settings()
    (folder / ".env").write_bytes(EXAMPLE.read_bytes())
    assert Settings() == defaults
    for name, value in listed().items():
        default = getattr(defaults, name.lower())
        empty = default in (None, "", SecretStr(""))
        assert (value == "") is empty, name


def test_blank_means_the_default(folder: Path) -> None:
    defaults = Settings()
    (folder / ".env").write_text("".join(f"{name}=\n" for name in listed()))
    assert Settings() == defaults
    assert defaults.keys == Path("data/aftercare.key")
    assert defaults.database == "sqlite+aiosqlite:///data/aftercare.db"
    assert defaults.http_address == ("127.0.0.1", 8080)


def test_the_environment_goes_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("DATA_DIR=from-file\nHTTP_BIND=[::1]:9000\nNOT_OURS=1\n")
    monkeypatch.setenv("DATA_DIR", "from-environment")
    options = Settings()
    assert options.keys == Path("from-environment/aftercare.key")
    assert options.http_address == ("::1", 9000)


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("sqlite:///care.db", "sqlite+aiosqlite:///care.db"),
        ("sqlite+aiosqlite:////srv/care.db", "sqlite+aiosqlite:////srv/care.db"),
        ("postgresql://care@/care", "postgresql+psycopg://care@/care"),
        ("postgresql+psycopg://care@/care", "postgresql+psycopg://care@/care"),
    ],
)
def test_a_database_is_named_with_or_without_its_driver(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, used: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", written)
    assert Settings().database == used
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "mysql://care@/care", "must begin with sqlite:/// or postgresql://"),
        ("DATABASE_URL", "care.db", "must begin with sqlite:/// or postgresql://"),
        ("TELEGRAM_API_URL", "api.telegram.org", "must look like https://api.telegram.org"),
        ("WEBHOOK_URL", "https://care.example/x", "must have a path that begins with /telegram/"),
        ("WEBHOOK_URL", "https://care.example", "must have a path that begins with /telegram/"),
        ("HTTP_BIND", "8080", "must look like 127.0.0.1:8080"),
        ("HTTP_BIND", "127.0.0.1:http", "must look like 127.0.0.1:8080"),
        ("HTTP_BIND", "127.0.0.1:65536", "must look like 127.0.0.1:8080"),
        ("LOG_LEVEL", "LOUD", "Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LOG_FORMAT", "xml", "Input should be 'console' or 'json'"),
        ("HEARTBEAT_URL", "hc-ping.example/x", "must begin with https:// or http://"),
        ("HEARTBEAT_URL", "https://", "must begin with https:// or http://"),
        ("SEND_RATE", "0", "Input should be greater than 0"),
        ("SEND_RATE", "many", "Input should be a valid number, unable to parse string as a number"),
    ],
)
def test_a_wrong_value_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    (folder / ".env").write_text(f"TELEGRAM_BOT_TOKEN={PLANTED}\n{name}={value}\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["check"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"aftercare: {name}: {said}\n"


def test_secrets_are_not_shown(folder: Path) -> None:
    (folder / ".env").write_text(
        f"TELEGRAM_BOT_TOKEN={PLANTED}\nWEBHOOK_SECRET=planted-secret\n"
        "DATABASE_URL=postgresql://care:planted-password@db/care\n"
        "HEARTBEAT_URL=https://ping.example/planted-check\n"
    )
    options = Settings()
    assert options.telegram_bot_token.get_secret_value() == PLANTED
    assert "planted-password" in options.database
    for shown in (repr(options), str(options), f"{options}"):
        assert "planted" not in shown
