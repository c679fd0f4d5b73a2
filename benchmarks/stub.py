"""A Bot API that answers every call at once: what remains is the cost of the one who calls."""

import asyncio
import json
import re
import sys
import time

TOKEN = "1000000001:stub-telegram-takes-no-real-bot-key"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHAT = re.compile(rb"(?:^|&)chat_id=(-?\d+)")
_WAIT = re.compile(rb"[?&]timeout=(\d+)")
# There is never an update; a long poll is told so before its caller gives up.
_LONGEST_POLL_S = 20.0
_ME = {
    "id": 1000000001,
    "is_bot": True,
    "first_name": "Stub",
    "username": "stub_demo_bot",
    "can_join_groups": False,
    "can_read_all_group_messages": False,
    "supports_inline_queries": False,
}


class StubTelegram:
    """The server; ``heard`` is set once a message was sent to it."""

    def __init__(self) -> None:
        """Prepare; nothing listens yet."""
        self.heard = asyncio.Event()
        self.base_url = ""
        self._messages = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Answer on a free port of the loopback."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    def result(self, method: str, body: bytes) -> object:
        """Return what the Bot API would return for a call that worked."""
        if method == "getme":
            return _ME
        if method != "sendmessage":
            return True
        self._messages += 1
        self.heard.set()
        found = _CHAT.search(body)
        return {
            "message_id": self._messages,
            "date": int(time.time()),
            "chat": {"id": int(found[1]) if found else 0, "type": "private"},
            "text": "heard",
        }


class _Connection(asyncio.Protocol):
    """One connection, kept open: requests come one after the other."""

    def __init__(self, telegram: StubTelegram) -> None:
        self._telegram = telegram
        self._unread = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while True:
            head, found, rest = self._unread.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if not found or len(rest) < size:
                return
            self._unread = rest[size:]
            self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        address = head.split(b" ", 2)[1]
        method = address.partition(b"?")[0].rpartition(b"/")[2].decode().lower()
        if method == "getupdates":
            wait = _WAIT.search(address)
            wait_s = min(float(wait[1]) if wait else 0.0, _LONGEST_POLL_S)
            asyncio.get_running_loop().call_later(wait_s, self._write, [])
        else:
            self._write(self._telegram.result(method, body))

    def _write(self, result: object) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        answer = json.dumps({"ok": True, "result": result}).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            + str(len(answer)).encode()
            + b"\r\n\r\n"
            + answer
        )


async def _main() -> None:
    telegram = StubTelegram()
    await telegram.listen()
    print(telegram.base_url, flush=True)
    # Whoever started this process ends it by closing its input, even by dying.
    await asyncio.to_thread(sys.stdin.read)
    telegram.close()


if __name__ == "__main__":
    asyncio.run(_main())
