"""What Prometheus reads: numbers to alarm on, of the process and of its database."""

import logging

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Cause
from bot.logs import Outages
from bot.services import holding
from bot.services.deps import Deps
from bot.storage.queries import ledger, vitals
from bot.web.signs import A_DAY, Signs

log = logging.getLogger(__name__)


class Metrics:
    """Makes the page; what the database would say is left out while it cannot be read."""

    def __init__(self, deps: Deps) -> None:
        """Count what ``deps`` holds."""
        self._deps = deps
        self._outages = Outages(log)

    async def page(self, signs: Signs) -> bytes:
        """Return the page: the state of the process, then counts over the database."""
        registry = CollectorRegistry()
        _of_process(registry, signs)
        readable = Gauge(
            "aftercare_database_readable", "Whether the database answers", registry=registry
        )
        try:
            async with self._deps.database.read() as session:
                await self._of_database(registry, session)
            readable.set(1)
            self._outages.over("metrics_failed")
        except Exception as error:
            readable.set(0)
            self._outages.failed("the database cannot be counted", error, "metrics_failed")
        return generate_latest(registry)

    async def _of_database(self, registry: CollectorRegistry, session: AsyncSession) -> None:
        now = self._deps.clock.now()
        # Read before the first is shown: half a page would look like a whole one.
        reminders = await vitals.reminder_states(session)
        messages = await vitals.message_states(session)
        numbers = {
            "alerts_open": (
                "Alerts that nobody has acknowledged",
                await vitals.open_alerts(session),
            ),
            "messages_due": ("Messages that wait although due", await vitals.overdue(session, now)),
            "messages_unconfirmed": (
                "Messages of which nobody knows whether they arrived",
                messages.get("unconfirmed", 0),
            ),
            "sends_unanswered": (
                "Sends without an answer: each may have brought a copy",
                await ledger.repeats(session),
            ),
            "expired_24h": (
                "Steps that were too late to be sent, in the last 24 hours",
                await ledger.expired(session, now - A_DAY),
            ),
            "updates_quarantined": ("Updates given up", await ledger.quarantined(session)),
            "held": ("Whether sending is held", await holding.held(session) is not None),
            "database_bytes": (
                "Size of the database",
                await ledger.size(session, sqlite=self._deps.database.is_sqlite),
            ),
        }
        by_state = Gauge("aftercare_reminders", "Reminders by state", ["state"], registry=registry)
        for state, count in reminders.items():
            by_state.labels(state).set(count)
        rows = Gauge("aftercare_messages", "Outbox rows by state", ["state"], registry=registry)
        for state, count in messages.items():
            rows.labels(state).set(count)
        for name, (text, value) in numbers.items():
            Gauge(f"aftercare_{name}", text, registry=registry).set(value)


def _of_process(registry: CollectorRegistry, signs: Signs) -> None:
    wrong = Gauge("aftercare_trouble", "What is wrong now, 0 or 1", ["cause"], registry=registry)
    for cause in Cause:
        wrong.labels(cause).set(cause in signs.causes)
    for name, text, value in (
        ("tick_age_seconds", "Seconds since the last tick", signs.tick_age_s),
        ("poll_age_seconds", "Seconds since the last good poll", signs.poll_age_s),
        ("flood_wait_seconds", "The longest wait that Telegram asks for now", signs.flood_wait_s),
        ("polls_refused", "Polls refused as another instance polls", signs.conflicts),
        ("last_outage_seconds", "How long the last outage was", signs.last_outage_s),
        ("disk_free_ratio", "How much of the fullest disk is free", signs.disk_free),
    ):
        if value is not None:
            Gauge(f"aftercare_{name}", text, registry=registry).set(value)
