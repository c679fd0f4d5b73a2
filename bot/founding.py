"""How a clinic begins on an empty database, and how it gets a lead again."""

from telegram.error import InvalidToken, TelegramError

from bot.clock import Clock, SystemClock
from bot.incoming import telegram_http
from bot.parts import StartError, check_schema, open_deps, telegram_bot
from bot.services import clinic as clinics
from bot.services.deps import new_ref
from bot.settings import Settings
from bot.storage import database, schema, sealed, vault
from bot.storage.queries import people
from bot.storage.tables import Clinic


async def init(options: Settings, clinic: Clinic, clock: Clock | None = None) -> tuple[str, str]:
    """Create key, database and clinic; return the bot's @name and the lead's one-time link."""
    clock = clock or SystemClock()
    try:
        async with telegram_bot(options, telegram_http.poll_request()) as connection:
            username = connection.username
    except InvalidToken as error:
        raise StartError("Telegram refuses the token; check TELEGRAM_BOT_TOKEN in .env") from error
    except TelegramError as error:
        raise StartError("Telegram cannot be reached; check the network and try again") from error
    database.guard_files(options.database, options.data_dir)
    if (found := await schema.present(options.database)) is None:
        # Only for a database that is new as well: another key would not open what is there.
        vault.create_key_file(options.keys)
    elif problem := schema.problem(found):
        # A migration makes a backup first.
        raise StartError(problem)
    await schema.migrate(options.database)
    deps = open_deps(options, clock)
    try:
        async with deps.database.write() as session:
            clinic.bot_username = username
            if (kept := await people.the_clinic(session)) is not None:
                again = await clinics.begin_again(session, kept, clinic, deps)
                if again is None:
                    raise StartError("this database already has a clinic; use another DATA_DIR")
                return username, again
            clinic.ref = new_ref()
            clinic.created_at = clock.now()
            await sealed.put_key_mark(session)
            link = await clinics.create(session, clinic, deps)
    finally:
        await deps.database.close()
    return username, link


async def invite_lead(options: Settings) -> str:
    """Return a new one-time link for the lead; whoever led before loses access once it is used."""
    await check_schema(options)
    deps = open_deps(options, SystemClock())
    try:
        async with deps.database.write() as session:
            clinic = await people.the_clinic(session)
            if clinic is None:
                raise StartError("there is no clinic; run: aftercare init")
            return await clinics.invite_lead(session, clinic, deps)
    finally:
        await deps.database.close()
