"""Every setting of the program, typed; read by ``app`` and ``cli`` alone."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PUBLIC_API_URL = "https://api.telegram.org"
# Where the webhook listens; what follows is the operator's secret.
WEBHOOK_PATH = "/telegram/"
# What an operator may write, and the driver that serves it.
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


class Settings(BaseSettings):
    """What an operator can set; ``.env.example`` lists each one with its default."""

    # Blank means "the default", so that a copied ``.env.example`` changes nothing.
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    telegram_bot_token: SecretStr = SecretStr("")
    telegram_api_url: str = PUBLIC_API_URL
    database_url: str = Field(default="", repr=False)
    data_dir: Path = Path("data")
    messages_dir: Path | None = None
    key_file: Path | None = None
    webhook_url: str = ""
    webhook_secret: SecretStr = SecretStr("")
    http_bind: str = "127.0.0.1:8080"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    send_rate: float = Field(default=28.0, gt=0)
    heartbeat_url: SecretStr = SecretStr("")

    @field_validator("telegram_api_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
            raise ValueError(f"must look like {PUBLIC_API_URL}")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _has_driver(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if not value:
            return value
        if not rest or scheme not in {*_DRIVERS, *_DRIVERS.values()}:
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return f"{_DRIVERS.get(scheme, scheme)}://{rest}"

    @field_validator("webhook_url")
    @classmethod
    def _leads_to_us(cls, value: str) -> str:
        # Anywhere else Telegram's posts meet a 404, and nobody hears of it.
        if value and not urlsplit(value).path.startswith(WEBHOOK_PATH):
            raise ValueError(f"must have a path that begins with {WEBHOOK_PATH}")
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _can_be_called(cls, value: SecretStr) -> SecretStr:
        address = value.get_secret_value()
        parts = urlsplit(address)
        odd = any(sign.isspace() for sign in address) or parts.port == 0
        if address and (odd or parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must begin with https:// or http://")
        return value

    @field_validator("http_bind")
    @classmethod
    def _is_host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and int(port) < 2**16):
            raise ValueError("must look like 127.0.0.1:8080")
        return value

    @property
    def database(self) -> str:
        """The database's address; SQLite in the data folder unless one is given."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'aftercare.db'}"

    @property
    def keys(self) -> Path:
        """Where the encryption keys lie."""
        return self.key_file or self.data_dir / "aftercare.key"

    @property
    def http_address(self) -> tuple[str, int]:
        """Host and port of the health pages and the webhook."""
        host, _, port = self.http_bind.rpartition(":")
        return host.strip("[]"), int(port)
