"""The parts that the bot and its commands are built of: texts, connection, database, schema."""

from functools import cache
from pathlib import Path

from telegram.ext import ExtBot
from telegram.request import HTTPXRequest

import bot
from bot.clock import Clock
from bot.incoming import telegram_http
from bot.outgoing import catalogue, sender
from bot.outgoing.texts import Texts
from bot.services.delivery import SENDERS
from bot.services.deps import Bells, Deps
from bot.settings import PUBLIC_API_URL, Settings
from bot.storage import database, schema, vault
from bot.storage.database import Database
from bot.storage.photos import FOLDER, PhotoFiles


class StartError(RuntimeError):
    """The bot cannot start; the text says why and what to do."""


def shipped_messages() -> Path:
    """Return the folder of the shipped messages: in a wheel inside the package, else beside it."""
    package = Path(bot.__file__).parent
    inside = package / "messages"
    return inside if inside.is_dir() else package.parent / "messages"


def load_messages(options: Settings) -> catalogue.Catalogue:
    """Return the shipped messages with the clinic's own laid over them."""
    folders = [shipped_messages()]
    if options.messages_dir is not None:
        folders.append(options.messages_dir)
    return catalogue.load(folders)


def _read(options: Settings) -> tuple[catalogue.Catalogue, Texts]:
    messages = load_messages(options)
    return messages, Texts(messages)


@cache
def shipped() -> tuple[catalogue.Catalogue, Texts]:
    """Return the shipped messages; they do not change while a process runs, so once is enough."""
    return _read(Settings.model_construct(messages_dir=None))


def through_proxy(options: Settings) -> bool:
    """Say whether the machine's proxy, if any, is asked: a local Telegram needs none."""
    return options.telegram_api_url == PUBLIC_API_URL


def telegram_bot(options: Settings, polling: HTTPXRequest) -> ExtBot[None]:
    """Return the library's bot for the token, not yet connected; it closes ``polling`` too."""
    token = options.telegram_bot_token.get_secret_value()
    if not token:
        raise StartError("TELEGRAM_BOT_TOKEN is empty; put the token from @BotFather into .env")
    base = options.telegram_api_url
    request = HTTPXRequest(
        # As many connections as senders, and some for taps: more only make httpx slower.
        connection_pool_size=SENDERS + 4,
        read_timeout=sender.READ_TIMEOUT_S,
        write_timeout=sender.READ_TIMEOUT_S,
        media_write_timeout=sender.READ_TIMEOUT_S,
        connect_timeout=sender.CONNECT_TIMEOUT_S,
        pool_timeout=sender.CONNECT_TIMEOUT_S,
        httpx_kwargs=telegram_http.options(trust_env=through_proxy(options)),
    )
    return ExtBot(
        token,
        base_url=f"{base}/bot",
        base_file_url=f"{base}/file/bot",
        request=request,
        get_updates_request=polling,
    )


def open_deps(options: Settings, clock: Clock) -> Deps:
    """Return the parts that services need; raises what a missing key or a bad text says."""
    messages, texts = shipped() if options.messages_dir is None else _read(options)
    database.guard_files(options.database, options.data_dir)
    keys = vault.open_key_file(options.keys)
    return Deps(
        database=Database(options.database, keys),
        catalogue=messages,
        texts=texts,
        clock=clock,
        bells=Bells(),
        data_dir=options.data_dir,
        photos=PhotoFiles(options.data_dir / FOLDER, keys),
    )


async def check_schema(options: Settings) -> None:
    """Raise :class:`StartError` with what to do unless the database has the newest schema."""
    problem = schema.problem(await schema.present(options.database))
    if problem:
        raise StartError(problem)
