"""A caller of the Bot API that knows only HTTP and JSON, a clock moved by hand, a picture."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2025, 3, 3, 14, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """The time it shows, aware UTC."""
        return self.at

    def move(self, **by: float) -> None:
        """It shows a later time: seconds, minutes, hours, days."""
        self.at += timedelta(**by)


class Caller:
    """Calls methods by name."""

    def __init__(self, http: httpx.AsyncClient, base_url: str, bot: str) -> None:
        self.http = http
        self.base_url = base_url
        self.bot = bot

    def url(self, method: str) -> str:
        """The address of a method."""
        return f"{self.base_url}/bot{self.bot}/{method}"

    async def raw(self, method: str, **params: object) -> httpx.Response:
        """The HTTP answer to a call with JSON in its body."""
        return await self.http.post(self.url(method), json=params)

    async def ok(self, method: str, **params: object) -> Any:
        """The result of a call that must work."""
        answer = await self.raw(method, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def refused(self, method: str, **params: object) -> tuple[int, str]:
        """Status and description of a call that must be refused, with the same code in the body."""
        answer = await self.raw(method, **params)
        body = answer.json()
        assert body["ok"] is False
        assert body["error_code"] == answer.status_code
        return answer.status_code, body["description"]

    async def multipart(
        self, method: str, files: dict[str, tuple[str, bytes]], **params: object
    ) -> Any:
        """The result of a call with files."""
        data = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        answer = await self.http.post(self.url(method), data=data, files=files)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]
