"""What the process says of itself to a supervisor and to Prometheus."""

from collections.abc import Callable, Mapping

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot.services import holding
from bot.services.deps import Deps
from bot.web.metrics import Metrics
from bot.web.signs import Signs

TICK_LATE_S = 120.0
POLL_LATE_S = 120.0
# The only trouble that is not Telegram's: what can be read may still not be written.
STORAGE = "storage"


class Health:
    """The three pages; each asks the database once."""

    def __init__(self, deps: Deps, signs: Callable[[], Signs], version: str) -> None:
        """Report on ``deps`` and on what ``signs`` returns."""
        self._deps = deps
        self._signs = signs
        self._version = version
        self._metrics = Metrics(deps)

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
        ]

    async def healthz(self, _request: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("ok\n")

    async def well(self) -> bool:
        """Say whether all is well, as ``/readyz`` does."""
        return all(_checks(self._signs(), await self._held()).values())

    async def readyz(self, _request: Request) -> Response:
        """200 when database, tick and Telegram are well and sending is not held; else 503."""
        signs = self._signs()
        held = await self._held()
        checks = _checks(signs, held)
        ready = all(checks.values())
        body = {
            "ready": ready,
            "checks": checks,
            "held": bool(held),
            "trouble": signs.trouble,
            "version": self._version,
        }
        return JSONResponse(body, 200 if ready else 503)

    async def _held(self) -> bool | None:
        try:
            async with self._deps.database.read() as session:
                return await holding.held(session) is not None
        except Exception:
            return None

    async def metrics(self, _request: Request) -> Response:
        """Numbers for Prometheus; what the database would say is missing while it is gone."""
        return Response(await self._metrics.page(self._signs()), media_type=CONTENT_TYPE_LATEST)


def _checks(signs: Signs, held: bool | None) -> Mapping[str, bool]:
    """Return what is well; ``held`` is nothing when the database cannot say."""
    return {
        "database": held is not None and signs.trouble != STORAGE,
        "tick": signs.tick_age_s is not None and signs.tick_age_s < TICK_LATE_S,
        "telegram": signs.trouble in (None, STORAGE)
        and signs.poll_age_s is not None
        and signs.poll_age_s < POLL_LATE_S,
        "sending": held is False,
    }
