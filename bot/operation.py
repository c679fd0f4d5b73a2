"""What the operator's commands look at: whether everything is in order, and how much there is."""

from bot import parts
from bot.clock import SystemClock
from bot.outgoing import lint
from bot.outgoing.catalogue import MessagesError
from bot.parts import StartError
from bot.services import holding
from bot.services.holding import Held, Why
from bot.settings import Settings
from bot.storage import schema, sealed
from bot.storage.queries import people, vitals
from bot.storage.schema import SchemaError
from bot.storage.vault import VaultError

# Trouble that an operator can mend; its words are one sentence.
TROUBLE = (StartError, SchemaError, VaultError, MessagesError)


async def examine(options: Settings) -> list[tuple[str, str]]:
    """Return each check with what is wrong; ``""`` when nothing is."""
    checks: list[tuple[str, str]] = []
    token = options.telegram_bot_token.get_secret_value()
    checks.append(("token", "" if token else "TELEGRAM_BOT_TOKEN is empty"))
    try:
        found = lint.check(parts.load_messages(options))
        checks.append(("messages", f"{len(found)} findings; run: aftercare check" if found else ""))
        problem = schema.problem(await schema.present(options.database))
        checks.append(("schema", problem))
        if problem:
            return checks
        deps = parts.open_deps(options, SystemClock())
    except (*TROUBLE, OSError) as trouble:
        return [*checks, ("start", str(trouble))]
    try:
        async with deps.database.read() as session:
            try:
                await sealed.check_key(session)
                checks.append(("key", ""))
            except VaultError as trouble:
                checks.append(("key", str(trouble)))
            clinic = await people.the_clinic(session)
            checks.append(("clinic", "" if clinic else "there is none; run: aftercare init"))
            odd = await vitals.unbalanced(session)
            checks.append(("ledger", f"{len(odd)} reminders contradict themselves" if odd else ""))
            checks.append(("sending", _held(await holding.held(session))))
    finally:
        await deps.database.close()
    return checks


def _held(held: Held | None) -> str:
    if held is None:
        return ""
    why = {Why.RESTORED: "a backup was restored", Why.CLOCK: "the clock has jumped"}[held.why]
    return f"held since {vitals.as_text(held.since)}, as {why}; run: aftercare release"


async def count(options: Settings) -> dict[str, dict[str, int]]:
    """Return how many patients, reminders, messages and open reports there are, by state."""
    await parts.check_schema(options)
    deps = parts.open_deps(options, SystemClock())
    try:
        async with deps.database.read() as session:
            clinic = await people.the_clinic(session)
            return {
                "patients": await people.count_patients(session, clinic.id or 0) if clinic else {},
                "reminders": await vitals.reminder_states(session),
                "messages": await vitals.message_states(session),
                "alerts": {"open": await vitals.open_alerts(session)},
            }
    finally:
        await deps.database.close()
