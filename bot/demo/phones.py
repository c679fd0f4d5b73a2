"""The page with the phones: what they show as JSON, a stream of changes, and what fingers can
do.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.demo import screen
from bot.demo.fingers import ACTIONS
from bot.demo.people import Person, PhoneError
from bot.demo.refusals import Json, Refusal
from bot.demo.telegram import LocalTelegram

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
LARGEST_BODY = 30 * 1024 * 1024
COALESCE = 0.02
HEARTBEAT = 5.0
MOST_PEOPLE = 6


class ClockControl(Protocol):
    """The demo's clock, as the page pushes it; both pushes return when the bot has nothing left
    to do.
    """

    def now(self) -> datetime:
        """The time it shows, aware UTC."""

    async def next_message(self) -> str | None:
        """The clock stands where the next planned message went out; a line about it, None when
        none is planned.
        """

    async def forward(self, delta: timedelta) -> None:
        """The clock stands later by so much, and everything due by then is done."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that the page offers to open on one phone, with the words on its button."""

    label: str
    link: str
    person: Person


class Phones:
    """The page: `roles` are the lines above the phones by person id, `clock` None hides the
    clock's buttons.
    """

    def __init__(
        self,
        telegram: LocalTelegram,
        *,
        clock: ClockControl | None = None,
        invitation: Invitation | None = None,
        roles: Mapping[int, str] | None = None,
    ) -> None:
        self.telegram = telegram
        self.clock = clock
        self.invitation = invitation
        self.roles = dict(roles or {})
        self.busy = ""

    def routes(self) -> list[Route]:
        """Where the page is, for the server that carries it."""
        return [
            Route("/", self._page),
            Route("/demo/static/{name}", self._static),
            Route("/demo/state", self._state),
            Route("/demo/stream", self._stream),
            Route("/demo/files/{unique}", self._file),
            Route("/demo/clock", self._push, methods=["POST"]),
            Route("/demo/people", self._add, methods=["POST"]),
            Route("/demo/people/{person:int}/{action}", self._act, methods=["POST"]),
        ]

    # what the page reads

    async def _page(self, request: Request) -> Response:
        return self._asset(request, "index.html")

    async def _static(self, request: Request) -> Response:
        return self._asset(request, str(request.path_params["name"]))

    def _asset(self, request: Request, name: str) -> Response:
        path = STATIC / name
        if not _is_ours(request) or path.parent != STATIC or not path.is_file():
            return _answer({"error": "not found"}, 404)
        return Response(path.read_bytes(), headers=HEADERS, media_type=TYPES[path.suffix])

    def state(self) -> Json:
        """Everything that the page shows."""
        clock = self.clock
        people = [self._phone(person) for person in self.telegram.people]
        invitation = self.invitation
        return {
            "bot": {"name": self.telegram.me["first_name"], "username": self.telegram.username},
            "clock": {
                "now": (clock.now() if clock else self.telegram.now()).isoformat(
                    timespec="seconds"
                ),
                "steps": clock is not None,
                "busy": self.busy,
            },
            "invitation": invitation
            and {
                "label": invitation.label,
                "link": invitation.link,
                "person": invitation.person.id,
            },
            "people": people,
        }

    def _phone(self, person: Person) -> Json:
        return {**screen.phone(self.telegram, person), "role": self.roles.get(person.id, "")}

    async def _state(self, request: Request) -> Response:
        return _answer(self.state()) if _is_ours(request) else _answer({"error": "not found"}, 404)

    async def _stream(self, request: Request) -> Response:
        if not _is_ours(request):
            return _answer({"error": "not found"}, 404)
        return StreamingResponse(self._changes(), headers=HEADERS, media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[str]:
        bell, last = self.telegram.bell, ""
        while not bell.closed:
            rings = bell.rings
            state = json.dumps(self.state(), ensure_ascii=False)
            yield f"data: {state}\n\n" if state != last else ": still here\n\n"
            last = state
            if bell.rings == rings:
                await bell.wait(HEARTBEAT)
            # several changes in one breath are one picture for the eye
            await asyncio.sleep(COALESCE)

    async def _file(self, request: Request) -> Response:
        attachment = self.telegram.files.shown(str(request.path_params["unique"]))
        if attachment is None or not _is_ours(request):
            return _answer({"error": "not found"}, 404)
        shown = attachment.kind == "photo" and attachment.mime in PICTURES
        mime = attachment.mime if shown else "application/octet-stream"
        headers = {**HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
        if not shown:
            headers["Content-Disposition"] = "attachment"
        return Response(attachment.data, headers=headers, media_type=mime)

    # what fingers do

    async def _body(self, request: Request) -> Json:
        """The JSON body of an action from this page, and from no other."""
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        origin = request.headers.get("origin")
        if not _is_ours(request) or kind != "application/json":
            raise PhoneError("only this page may do that")
        if origin is not None and origin != f"http://{request.headers.get('host')}":
            raise PhoneError("only this page may do that")
        length = request.headers.get("content-length") or "0"
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise PhoneError("this file is too large for the demo")
        try:
            body = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            raise PhoneError("the page sent something unreadable") from None
        if not isinstance(body, dict):
            raise PhoneError("the page sent something unreadable")
        try:
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise PhoneError("the page sent something unreadable") from None
        return body

    async def _push(self, request: Request) -> Response:
        try:
            body = await self._body(request)
        except PhoneError as error:
            return _answer({"error": str(error)}, 400)
        if self.clock is None:
            return _answer({"error": "this clock cannot be pushed"}, 400)
        if self.busy:
            return _answer({"error": "the clock is already moving"}, 409)
        hours, days = body.get("hours", 0), body.get("days", 0)
        to_next = body.get("to") == "next"
        if not to_next and not (_is_step(hours) and _is_step(days) and 0 < hours + days <= 400):
            return _answer({"error": "not a step of this clock"}, 400)
        self.busy = "next" if to_next else f"{hours}h" if hours else f"{days}d"
        self.telegram.bell.ring()
        note: str | None = None
        try:
            if to_next:
                note = await self.clock.next_message()
            else:
                await self.clock.forward(timedelta(hours=hours, days=days))
        finally:
            self.busy = ""
            self.telegram.bell.ring()
        return _answer({"ok": True, "note": note, "none": to_next and note is None})

    async def _add(self, request: Request) -> Response:
        try:
            body = await self._body(request)
            name = str(body.get("first_name", "")).strip()
            if not 1 <= len(name) <= 64 or len(self.telegram.people) >= MOST_PEOPLE:
                raise PhoneError("a phone needs a name of 1 to 64 letters, and there may be six")
        except PhoneError as error:
            return _answer({"error": str(error)}, 400)
        zone = self.telegram.people[0].time_zone if self.telegram.people else "Europe/Berlin"
        person = self.telegram.person(name, time_zone=zone)
        return _answer({"ok": True, "id": person.id})

    async def _act(self, request: Request) -> Response:
        person = self.telegram.person_with(int(request.path_params["person"]))
        act = ACTIONS.get(str(request.path_params["action"]))
        if person is None or act is None:
            return _answer({"error": "not found"}, 404)
        try:
            await act(person, await self._body(request))
        except (PhoneError, Refusal) as error:
            return _answer({"error": str(error)}, 400)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return _answer({"error": "the page sent something unreadable"}, 400)
        self.telegram.bell.ring()
        return _answer({"ok": True})


def _is_ours(request: Request) -> bool:
    """Whether the address in the browser is this machine's own; another name may be a trap."""
    return (request.url.hostname or "") in ("127.0.0.1", "localhost")


def _is_step(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _answer(body: Json, status: int = 200) -> Response:
    return JSONResponse(body, status, HEADERS)
