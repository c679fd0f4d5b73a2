"""Updates that Telegram posts to us: committed before the 200."""

import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "/telegram/{rest:path}"
LONGEST_BODY = 1_000_000
_HEADER = "X-Telegram-Bot-Api-Secret-Token"

Receive = Callable[[Sequence[dict[str, Any]]], Awaitable[int]]


def route(secret: str, receive: Receive) -> Route:
    """Return the route that hands each posted update to ``receive`` and then answers 200."""

    async def post(request: Request) -> Response:
        # Compared in constant time, and before anything of the body is read (promises.md B16).
        given = request.headers.get(_HEADER, "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return Response(status_code=403)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_BODY:
                return Response(status_code=413)
        try:
            update = json.loads(bytes(body))
        except ValueError:
            return Response(status_code=400)
        if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
            return Response(status_code=400)
        await receive([update])
        return Response(status_code=200)

    return Route(PATH, post, methods=["POST"])
