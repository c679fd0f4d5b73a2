"""What the process says of itself to a supervisor and to Prometheus."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot.services.deps import Deps
from bot.storage.queries import vitals

TICK_LATE_S = 120.0
POLL_LATE_S = 120.0
# The only trouble that is not Telegram's: what can be read may still not be written.
STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class Signs:
    """Ages in seconds (nothing when it never happened) and what is wrong, if anything."""

    tick_age_s: float | None
    poll_age_s: float | None
    trouble: str | None


class Health:
    """The three pages; each asks the database once."""

    def __init__(self, deps: Deps, signs: Callable[[], Signs], version: str) -> None:
        """Report on ``deps`` and on what ``signs`` returns."""
        self._deps = deps
        self._signs = signs
        self._version = version

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

    async def readyz(self, _request: Request) -> Response:
        """200 when database, tick and Telegram are well and sending is not held; else 503."""
        signs = self._signs()
        held = await self._held()
        checks: Mapping[str, bool] = {
            "database": held is not None and signs.trouble != STORAGE,
            "tick": signs.tick_age_s is not None and signs.tick_age_s < TICK_LATE_S,
            "telegram": signs.trouble in (None, STORAGE)
            and signs.poll_age_s is not None
            and signs.poll_age_s < POLL_LATE_S,
            "sending": held is False,
        }
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
                return await vitals.get(session, "held") == "1"
        except Exception:
            return None

    async def metrics(self, _request: Request) -> Response:
        """Counts of reminders, messages and alerts by state, and the ages of tick and poll."""
        registry = CollectorRegistry()
        signs = self._signs()
        async with self._deps.database.read() as session:
            reminders = await vitals.reminder_states(session)
            messages = await vitals.message_states(session)
            alerts = await vitals.open_alerts(session)
            overdue = await vitals.overdue(session, self._deps.clock.now())
        by_state = Gauge("aftercare_reminders", "Reminders by state", ["state"], registry=registry)
        for state, count in reminders.items():
            by_state.labels(state).set(count)
        rows = Gauge("aftercare_messages", "Outbox rows by state", ["state"], registry=registry)
        for state, count in messages.items():
            rows.labels(state).set(count)
        for name, text, value in (
            ("aftercare_alerts_open", "Alerts that nobody has acknowledged", alerts),
            ("aftercare_messages_due", "Messages that wait although due", overdue),
            ("aftercare_tick_age_seconds", "Seconds since the last tick", signs.tick_age_s),
            ("aftercare_poll_age_seconds", "Seconds since the last good poll", signs.poll_age_s),
        ):
            if value is not None:
                Gauge(name, text, registry=registry).set(value)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
