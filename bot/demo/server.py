"""The Bot API over HTTP on loopback, with the phones' page beside it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.demo import faults, webhook
from bot.demo.files import Upload
from bot.demo.methods import perform
from bot.demo.params import Params
from bot.demo.refusals import Refusal
from bot.demo.telegram import Call
from bot.demo.unbuilt import UNBUILT

if TYPE_CHECKING:
    from bot.demo.phones import Phones
    from bot.demo.telegram import LocalTelegram

log = logging.getLogger(__name__)

_METHOD = re.compile(r"/bot(?P<bot>[^/]+)/(?P<method>[^/]*)")
_FILE = re.compile(r"/file/bot(?P<bot>[^/]+)/(?P<path>.+)")
_BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


class OnlyHere:
    """Refuses what another web page, open in the same browser, would have this machine do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what comes from this machine's own address and from no other site."""
        app = self._app
        if scope["type"] == "http" and not _is_ours(Request(scope)):
            app = JSONResponse({"error": "not found"}, 404)
        await app(scope, receive, send)


def _is_ours(request: Request) -> bool:
    # Another name for this address may be a trap: it makes its page's site the same as ours.
    host = request.headers.get("host", "")
    if host.partition(":")[0] not in ("127.0.0.1", "localhost"):
        return False
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return False
    return request.headers.get("sec-fetch-site") not in ("cross-site", "same-site")


class Server:
    """The running server: where it is, and how it goes away and comes back."""

    def __init__(self, telegram: LocalTelegram, sock: socket.socket, phones: Phones | None) -> None:
        self.telegram = telegram
        self._socket: socket.socket | None = sock
        self.port: int = sock.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}"
        routes = [Route("/demo/calls.jsonl", self._log_lines)]
        if phones is not None:
            routes += phones.routes()
        routes.append(Route("/{rest:path}", self._answer, methods=["GET", "POST"]))
        app = Starlette(routes=routes, middleware=[Middleware(OnlyHere)])
        # a connection that the server closes while its caller picks it up again looks like a fault
        self._config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_keep_alive=3600,
        )
        self._uvicorn = uvicorn.Server(self._config)

    async def listens(self) -> None:
        """Connections are taken, on the same port as before."""
        if self._socket is None:
            self._socket = _listening(self.port)
        if not self._config.loaded:
            self._config.load()
        # uvicorn's own loop would take the signals over and need 0.1 s to stop
        self._uvicorn.lifespan = self._config.lifespan_class(self._config)
        await self._uvicorn.startup(sockets=[self._socket])

    async def goes_away(self) -> None:
        """Connections are refused and those that stood are broken, until `listens` again."""
        if self._socket is None:
            return
        for server in self._uvicorn.servers:
            server.close()
        await self._break_all()
        for server in self._uvicorn.servers:
            await server.wait_closed()
        self._socket.close()
        self._socket = None

    async def stops(self) -> None:
        """Nothing listens and nothing runs any more."""
        self.telegram.bell.close()
        await self.goes_away()
        tasks = list(self._uvicorn.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=0.5)
            for task in late:
                task.cancel()

    async def _break_all(self) -> None:
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()
        # an aborted transport closes its socket within the loop's next rounds
        for _ in range(3):
            await asyncio.sleep(0)

    def _break(self, request: Request) -> None:
        """The connection of this request is gone, without a byte of an answer."""
        client = (request.client.host, request.client.port) if request.client else None
        for connection in list(self._uvicorn.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.abort()

    async def _log_lines(self, _request: Request) -> Response:
        lines = "".join(f"{line}\n" for line in self.telegram.log_lines())
        return PlainTextResponse(lines, media_type="application/x-ndjson")

    async def _answer(self, request: Request) -> Response:
        telegram = self.telegram
        if telegram.faults.down:
            self._break(request)
            return Response()
        path = request.url.path
        if file := _FILE.fullmatch(path):
            return self._file(unquote(file["bot"]), file["path"])
        called = _METHOD.fullmatch(path)
        if called is None:
            return _refused(Refusal(404))
        if unquote(called["bot"]) != telegram.token or telegram.revoked:
            return _refused(Refusal(401))
        try:
            params = await _params(request)
        except ClientDisconnect:
            return Response()
        except Refusal as refusal:
            return _refused(refusal)
        if not _encodes(params.values):
            return _refused(Refusal(400, "strings must be encoded in UTF-8"))
        polling = called["method"].lower() == "getupdates"
        telegram.in_hand += 0 if polling else 1
        try:
            return await self._called(request, called["method"], params)
        finally:
            telegram.in_hand -= 0 if polling else 1
            if not polling:
                telegram.bell.ring()

    def _file(self, bot: str, path: str) -> Response:
        if bot != self.telegram.token or self.telegram.revoked:
            return _refused(Refusal(401))
        data = self.telegram.files.download(path, self.telegram.now())
        if data is None:
            return _refused(Refusal(404))
        return Response(data, media_type="application/octet-stream")

    async def _called(self, request: Request, method: str, params: Params) -> Response:
        """The call is performed, unless a fault is in its way, and stands in the log."""
        telegram = self.telegram
        fault = telegram.faults.hit(method.lower(), _chat(telegram, params))
        if fault is not None and fault.kind is faults.Kind.slow:
            await asyncio.sleep(fault.seconds)
            fault = None
        if fault is None:
            return await self._performed(request, method, params)
        answer = await self._performed(request, method, params) if fault.delivered else None
        if fault.kind is faults.Kind.error and fault.refusal is not None:
            self._log(method, params, fault.refusal.code, fault.refusal.body, "fault: error")
            return _refused(fault.refusal)
        if fault.kind is faults.Kind.html:
            self._log(method, params, 502, _BAD_GATEWAY, "fault: html")
            return Response(_BAD_GATEWAY, 502, media_type="text/html")
        if answer is not None and fault.kind in (faults.Kind.twice, faults.Kind.backwards):
            return _mixed(answer, fault.kind)
        self._log(method, params, 0, None, f"fault: {fault.kind}")
        if answer is not None and fault.kind is faults.Kind.half:
            return _HalfAnswer(answer, partial(self._break, request))
        if fault.kind is faults.Kind.hang:
            async with _leaving(telegram, request) as gone:
                while not (gone.is_set() or fault.off or telegram.bell.closed):
                    await telegram.bell.wait()
            if fault.off and not gone.is_set():
                return answer or await self._performed(request, method, params)
        self._break(request)
        return Response()

    async def _performed(self, request: Request, method: str, params: Params) -> Response:
        telegram = self.telegram
        try:
            if method.lower() == "getupdates":
                result: object = await self._poll(request, params)
            else:
                result = _perform(telegram, method, params)
        except Refusal as refusal:
            note = ""
            if refusal.code == 404:
                known = method.lower() in UNBUILT
                note = "in the Bot API, not built here" if known else "unknown method"
                log.warning(
                    "method refused",
                    extra={"action": "method_refused", "method": method, "note": note},
                )
            self._log(method, params, refusal.code, refusal.body, note)
            return _refused(refusal)
        body = {"ok": True, "result": result}
        self._log(method, params, 200, body)
        return JSONResponse(body)

    async def _poll(self, request: Request, params: Params) -> object:
        telegram = self.telegram
        arguments = (
            params.integer("offset"),
            params.integer("limit", 100),
            float(params.integer("timeout")),
            params.names("allowed_updates"),
        )
        if not arguments[2]:
            return await telegram.updates.poll(*arguments, lambda: False)
        async with _leaving(telegram, request) as gone:
            return await telegram.updates.poll(*arguments, gone.is_set)

    def _log(self, method: str, params: Params, status: int, body: object, note: str = "") -> None:
        telegram = self.telegram
        if method.lower() == "getupdates" and status == 200 and body == {"ok": True, "result": []}:
            return
        call = Call(
            telegram.now(), method, params.logged(), params.logged_files(), status, body, note
        )
        telegram.calls.append(call)
        telegram.bell.ring()


class _HalfAnswer(Response):
    """An answer that ends in the middle, together with its connection."""

    def __init__(self, whole: Response, cut: Callable[[], None]) -> None:
        super().__init__()
        self._whole = whole
        self._cut = cut

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers, body = self._whole.raw_headers, bytes(self._whole.body)
        start = {"type": "http.response.start", "status": self._whole.status_code}
        await send({**start, "headers": headers})
        half = {"type": "http.response.body", "body": body[: len(body) // 2]}
        await send({**half, "more_body": True})
        self._cut()
        # An aborted transport tells its protocol in the loop's next rounds.
        for _ in range(3):
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


def _mixed(answer: Response, kind: faults.Kind) -> Response:
    """The same updates, each twice or the newest first."""
    body = json.loads(bytes(answer.body))
    if isinstance(body.get("result"), list):
        found = body["result"]
        body["result"] = found * 2 if kind is faults.Kind.twice else found[::-1]
    return JSONResponse(body, answer.status_code)


@asynccontextmanager
async def serving(
    telegram: LocalTelegram, port: int, phones: Phones | None
) -> AsyncIterator[Server]:
    """The server runs while this is entered, on 127.0.0.1 only."""
    server = Server(telegram, _listening(port), phones)
    telegram.bell.closed = False
    await server.listens()
    posting = asyncio.get_running_loop().create_task(webhook.deliver(telegram))
    try:
        yield server
    finally:
        await server.stops()
        await asyncio.wait([posting], timeout=1)
        posting.cancel()


def _listening(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off (40 ms a call) only for sockets that name their protocol
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def _refused(refusal: Refusal) -> Response:
    headers = {}
    if refusal.parameters and "retry_after" in refusal.parameters:
        headers["Retry-After"] = str(refusal.parameters["retry_after"])
    return JSONResponse(refusal.body, refusal.code, headers)


async def _params(request: Request) -> Params:
    """Query, url-encoded form, JSON or multipart, whichever the caller chose; the body wins."""
    values: dict[str, object] = dict(request.query_params)
    files: dict[str, Upload] = {}
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_part_size=4 * 1024 * 1024) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    data = await value.read()
                    mime = value.content_type or "application/octet-stream"
                    files[name] = Upload(value.filename or name, mime, data)
                else:
                    values[name] = value
        return Params(values, files)
    body = await request.body()
    if kind == "application/json" and body:
        try:
            decoded = json.loads(body)
        except (ValueError, RecursionError):
            decoded = None
        if not isinstance(decoded, dict):
            raise Refusal(400, "can't parse request: JSON object expected")
        values |= decoded
    elif body:
        values |= dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    return Params(values, files)


def _perform(telegram: LocalTelegram, method: str, params: Params) -> object:
    """The method's result; parameters of a shape that no caller sends are refused."""
    try:
        return perform(telegram, method, params)
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise Refusal(400, f"can't parse request: {type(fault).__name__}") from fault


def _encodes(values: object) -> bool:
    """Whether every text among the values is one; half of a pair is none, and wedges a phone."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _chat(telegram: LocalTelegram, params: Params) -> int | None:
    """The chat that a fault may be aimed at."""
    if "callback_query_id" in params.values:
        person, _ = telegram.queries.get(params.text("callback_query_id"), (None, None))
        return person.id if person else None
    return params.integer("chat_id") or None


@asynccontextmanager
async def _leaving(telegram: LocalTelegram, request: Request) -> AsyncIterator[asyncio.Event]:
    """An event that is set, and rung, when the caller closes the connection."""
    gone = asyncio.Event()

    async def watch() -> None:
        while not gone.is_set():
            message = await request.receive()
            if message["type"] == "http.disconnect":
                gone.set()
        telegram.bell.ring()

    watching = asyncio.get_running_loop().create_task(watch())
    try:
        yield gone
    finally:
        watching.cancel()
