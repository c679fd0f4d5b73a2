"""Joins everything: the one place that reads the settings and builds the parts."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from telegram.error import BadRequest, InvalidToken, TelegramError
from telegram.ext import ApplicationBuilder, ContextTypes

import bot
from bot import handlers, parts
from bot.clock import Clock, SystemClock
from bot.handlers import command_menus
from bot.handlers.context import CareApplication, CareContext
from bot.incoming import poll, telegram_http
from bot.incoming.alone import Alone
from bot.incoming.inbox import Inbox
from bot.incoming.poll import Poller
from bot.incoming.safety_text import PATIENCE_S, SafetyText
from bot.jobs import Alarm
from bot.outgoing.pace import CHAT_BURST, Pace
from bot.parts import StartError
from bot.services import erasing, holding, outages, zone_data
from bot.services.delivery import Delivery
from bot.services.photo_keeping import Keeper
from bot.services.timekeeping import Timekeeper
from bot.settings import Settings
from bot.storage import database, sealed
from bot.storage.database import Priority
from bot.storage.ownership import LOOK_EVERY_S, NotOwned, Overtaken
from bot.storage.queries import people
from bot.watch import LOOK_S, Lookout, Seen
from bot.web import webhook
from bot.web.health import Health
from bot.web.heartbeat import Heartbeat
from bot.web.signs import Signs

log = logging.getLogger(__name__)

# Half of the ten seconds that a supervisor is promised: a busy machine needs some of the rest.
STOP_WITHIN_S = 5.0
_CONNECT_AGAIN_S = 5.0
_WEB_STOP_S = 2


class App:
    """The running bot."""

    def __init__(
        self,
        options: Settings,
        clock: Clock | None = None,
        chat_burst: float = CHAT_BURST,
        patience_s: float = PATIENCE_S,
        listen_s: float = 0.0,
        look_s: float = LOOK_S,
    ) -> None:
        """Build every part; nothing talks to Telegram or the database yet.

        It listens ``listen_s`` seconds whether another instance polls, and looks after itself
        every ``look_s`` seconds; 0 leaves either out.
        """
        self.options = options
        self.clock = clock or SystemClock()
        self.deps = parts.open_deps(options, self.clock)
        fresh = partial(telegram_http.poll_request, trust_env=parts.through_proxy(options))
        polling = fresh()
        self.bot = parts.telegram_bot(options, polling)
        self.pace = Pace(self.clock.monotonic, options.send_rate, chat_burst)
        self.delivery = Delivery(self.deps, self.bot, self.pace)
        self.application: CareApplication = (
            ApplicationBuilder()
            .bot(self.bot)
            .updater(None)
            .context_types(ContextTypes(context=CareContext))
            .build()
        )
        handlers.register(self.application)
        self.inbox = Inbox(self.deps, self.bot, self.application.process_update)
        self.safety = SafetyText(self.deps, self.bot, patience_s)
        source = telegram_http.Source(self.bot.base_url, polling, fresh=fresh)
        self.poller = Poller(self.deps, source, self.safety)
        self._source = source
        # With a webhook nobody polls: Telegram posts to the newest address, and says whose it is.
        self._alone = Alone(source, 0.0 if options.webhook_url else listen_s)
        self.watch = webhook.Watch(self.bot, options.webhook_url, self.clock, self._in_touch)
        self._ears: Poller | webhook.Watch = self.watch if options.webhook_url else self.poller
        self.alarm = Alarm(self.deps)
        self.timekeeper = Timekeeper(self.deps)
        self.menus = command_menus.Menus(self.deps, self.bot)
        self.keeper = Keeper(self.deps, self.bot)
        self.health = Health(self.deps, self.signs, bot.__version__)
        heartbeat_url = options.heartbeat_url.get_secret_value()
        self.heartbeat = Heartbeat(heartbeat_url, self.health.well) if heartbeat_url else None
        self._look_s = look_s
        self.lookout = Lookout(self.deps, self.seen, self._folders())
        self._tasks: list[asyncio.Task[None]] = []
        self._web: uvicorn.Server | None = None
        self._listening: asyncio.Task[None] | None = None
        self._standing_by = False
        # Whatever ends here ends the bot: another process took the database over.
        self.ends: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> bool:
        """Whether no update is being handled and no message is on its way."""
        return self.inbox.idle and self.delivery.idle and self.safety.idle and self.keeper.idle

    async def start(self, *, web: bool = True) -> None:
        """Start every loop; raises :class:`StartError` with what to do if something lacks."""
        await self._check_database()
        await self.safety.refresh()
        if not await self.deps.database.own():
            await self._stand_by(web=web)
        elif await self.delivery.anything_in_the_air():
            # Whoever sends it may be alive, and have lost the database without noticing yet.
            await asyncio.sleep(self.deps.database.grace_s)
        async with self.deps.database.write() as session:
            await holding.set_updates_aside(session)
        await erasing.look_again(self.deps)
        self.ends.append(asyncio.ensure_future(self._keep_database()))
        if web and self._web is None:
            await self._serve()
        await self._connect()
        await self._alone.wait()
        await self.lookout.begin()
        recovered = await self.delivery.recover()
        # Data of time zones usually change with an update, and so with a start.
        await zone_data.look_again(self.deps)
        log.info("started", extra={"action": "started", "count": recovered})
        if await self.held():
            log.warning("sending is held until: aftercare release", extra={"action": "held"})
        loops: list[Callable[[], Awaitable[None]]] = [
            self.alarm.run,
            self.delivery.run,
            self.inbox.run,
            self.safety.run,
            self.timekeeper.run,
            self.menus.run,
            self.keeper.run,
        ]
        if self._look_s:
            loops.append(partial(self.lookout.run, self._look_s))
        if self.heartbeat is not None:
            loops.append(self.heartbeat.run)
        for loop in loops:
            self._tasks.append(asyncio.ensure_future(loop()))
        self._listening = asyncio.ensure_future(self._ears.run())

    async def held(self) -> bool:
        """Say whether sending is held until a release."""
        async with self.deps.database.read() as session:
            return await holding.held(session) is not None

    async def _stand_by(self, *, web: bool) -> None:
        """Wait until the process that has the database is gone; only the health pages answer."""
        self._standing_by = True
        log.warning(
            "another process has this database; standing by until it ends",
            extra={"action": "standing_by"},
        )
        # With the other's settings its port is taken too; it is free once the other is gone.
        with suppress(StartError):
            if web:
                await self._serve()
        await self.deps.database.own_next()
        self._standing_by = False
        log.info("took the database over", extra={"action": "took_over"})
        await self._check_database()
        await self.safety.refresh()

    async def _keep_database(self) -> None:
        """Notice when the database is lost, and when it is ours again."""
        said = ""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                why = await self.deps.database.look()
            except Overtaken as error:
                raise StartError(f"{error}; this one ends") from error
            if why and not said:
                log.error(
                    "nothing is stored or sent any more",
                    extra={"action": "database_lost", "cause": why},
                )
            elif said and not why:
                self.delivery.recover_first()
                log.warning("the database is ours again", extra={"action": "database_back"})
            said = why

    async def _check_database(self) -> None:
        await parts.check_schema(self.options)
        async with self.deps.database.read() as session:
            if await people.the_clinic(session) is None:
                raise StartError("the database has no clinic; run: aftercare init")
            await sealed.check_key(session)

    async def _connect(self) -> None:
        """Reach Telegram once, however long that takes; a refused token ends the start."""
        while True:
            try:
                await self.application.initialize()
                if self.options.webhook_url:
                    await self._set_webhook()
                else:
                    await self.bot.delete_webhook(drop_pending_updates=False)
            except InvalidToken as error:
                raise StartError(
                    "Telegram refuses the token; check TELEGRAM_BOT_TOKEN in .env"
                ) from error
            except BadRequest as error:
                raise StartError(f"Telegram refuses the webhook: {error.message}") from error
            except TelegramError as error:
                log.warning(
                    "Telegram cannot be reached yet",
                    extra={"action": "connect_failed", "cause": type(error).__name__},
                )
                await asyncio.sleep(_CONNECT_AGAIN_S)
            else:
                return

    async def _set_webhook(self) -> None:
        secret = self.options.webhook_secret.get_secret_value()
        if not secret:
            raise StartError("WEBHOOK_URL needs a WEBHOOK_SECRET; set both or neither")
        await self.bot.set_webhook(
            self.options.webhook_url,
            secret_token=secret,
            allowed_updates=telegram_http.ALLOWED,
            drop_pending_updates=False,
        )

    def signs(self) -> Signs:
        """Return what the health pages say of the loops."""
        now_s = self.clock.monotonic()
        tick, polled = self.alarm.last_tick_s, self._ears.last_ok_s
        return Signs(
            tick_age_s=None if tick is None else now_s - tick,
            poll_age_s=None if polled is None else now_s - polled,
            trouble=self._trouble(),
            causes=self.lookout.causes,
            flood_wait_s=max([self.pace.closed_s, *self.pace.resting(longer_than_s=2.0).values()]),
            conflicts=self.poller.conflicts,
            last_outage_s=self.lookout.last_outage_s,
            disk_free=self.lookout.disk_free,
        )

    def _trouble(self) -> str | None:
        if self._standing_by:
            return "standing_by"
        if not self.deps.database.well:
            return "storage"
        return self._alone.trouble or self._ears.trouble or self.delivery.line.refused

    def seen(self) -> Seen:
        """Return what the lookout judges by."""
        return Seen(self._trouble(), self.poller.conflicts, self.alarm.rounds)

    def _folders(self) -> list[Path]:
        """Return the folders that must not run full."""
        file = database.sqlite_file(self.options.database)
        return [self.options.data_dir, *([file.parent] if file is not None else [])]

    async def _serve(self) -> None:
        """Serve health pages and webhook; raises ``StartError`` when the port is taken."""
        host, port = self.options.http_address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family)
        except OSError as error:
            why = (error.strerror or str(error)).partition(" (")[0]
            raise StartError(f"nothing can listen on {self.options.http_bind} ({why})") from error
        routes = self.health.routes()
        secret = self.options.webhook_secret.get_secret_value()
        if self.options.webhook_url and secret:
            routes.append(webhook.route(secret, self._receive))
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            # Whoever is still posting must not hold up the end; Telegram posts it again.
            timeout_graceful_shutdown=_WEB_STOP_S,
        )
        self._web = _QuietServer(config)
        serving = asyncio.ensure_future(self._web.serve([listening]))
        self._tasks.append(serving)
        while not self._web.started:
            if serving.done():
                serving.result()
                break
            await asyncio.sleep(0.01)

    async def _in_touch(self, again: bool) -> None:
        async with self.deps.database.write(Priority.INBOX) as session:
            await outages.in_touch(session, self.clock.now(), again=again)

    async def _receive(self, raw: Sequence[dict[str, Any]]) -> int:
        if self._standing_by:
            # The owner hears it when Telegram posts it again; it is not ours to answer.
            raise NotOwned("another process has this database")
        return await self.safety.beside(poll.receive(self.deps, raw), raw)

    async def stop(self) -> None:
        """Stop polling, let what is in hand end, close everything; within ten seconds."""
        self._ears.stop()
        self.alarm.stop()
        self.timekeeper.stop()
        self.menus.stop()
        self.keeper.stop()
        self.safety.stop()
        self.lookout.stop()
        if self.heartbeat is not None:
            self.heartbeat.stop()
        if self._web is not None:
            self._web.should_exit = True
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                if self._listening is not None:
                    await asyncio.gather(self._listening, return_exceptions=True)
                await self.inbox.stop()
                await self.delivery.stop()
                await asyncio.gather(*self._tasks, return_exceptions=True)
        except TimeoutError:
            log.warning("stopped with sends in the air", extra={"action": "stop_timeout"})
        tasks = [*self._tasks, *self.ends]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.application.shutdown()
        # A start that failed half way left the application unready, but connections open.
        await self.bot.shutdown()
        await self._source.close()
        await self.deps.database.close()
        if self._listening is not None:
            log.info("stopped", extra={"action": "stopped"})


class _QuietServer(uvicorn.Server):
    """A server that leaves signals to us: stopping is ours to order."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to exit."""
        await self._serve(sockets)
