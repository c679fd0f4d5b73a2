"""What a patient types in their own words: STOP, a question about a limit, or for a person."""

from bot.domain import typed
from bot.services import control, reporting, reports
from bot.services.turn import Turn

_STOP_WORDS_AT_MOST = 4
# What the bot asked for with "write here, I will pass it on".
_INVITED = ("question", "report", "change")


async def take(turn: Turn, text: str) -> None:
    """Answer a text; all but a plain STOP or a plain question about a limit reaches a person.

    In doubt both happen: whoever writes "stop, it hurts" is asked about the reminders and heard.
    """
    if await reporting.typed_sign(turn, text):
        return
    said = typed.simplified(text)
    urgent = reports.has_emergency_word(turn, text)
    stop = not urgent and is_stop(turn, said)
    # Before joining is complete nothing of the plan is said, so the question is for a person.
    joined = turn.patient is not None and turn.patient.joined_at is not None
    limits = asked_limits(turn, said) if joined and not urgent and not stop else []
    plain = (stop and _plain_stop(turn, said)) or (limits and _plain_question(turn, said))
    invited, _ = await turn.awaiting()
    if not plain or (invited in _INVITED and not stop):
        asks = invited in _INVITED or "?" in text or not is_thanks(turn, said)
        await reports.pass_on(turn, "text", text, asks=asks)
    if stop:
        await control.ask_stop(turn)
    elif limits:
        await control.answer_limits(turn, limits)


def is_stop(turn: Turn, said: str) -> bool:
    """Say whether a short text means STOP: one of the words among up to four."""
    if not said or len(said.split()) > _STOP_WORDS_AT_MOST:
        return False
    catalogue = turn.deps.catalogue
    # "Cancel" alone means STOP; in "cancel my visit" it is a message for the clinic.
    alone = said in catalogue.words(turn.language, "stop_alone")
    return alone or typed.holds(said, catalogue.words(turn.language, "stop"))


def is_thanks(turn: Turn, said: str) -> bool:
    """Say whether a text says thank you or all right, and nothing that waits for an answer."""
    return bool(said) and not typed.left_over(
        said, turn.deps.catalogue.words(turn.language, "thanks")
    )


def asked_limits(turn: Turn, said: str) -> list[str]:
    """Return the limits that a text asks about ("can I go to the gym?"); empty if it does not.

    "Is my swelling normal after the gym?" asks something else, and goes to a person.
    """
    openings = turn.deps.catalogue.words(turn.language, "asking")
    asks = any(f"{said} ".startswith(f"{opening} ") for opening in openings)
    if not asks and not (typed.holds(said, openings) and _plain_question(turn, said)):
        return []
    known = turn.deps.catalogue.limit_words(turn.language)
    return [limit for limit, names in known.items() if typed.holds(said, names)]


def _plain_stop(turn: Turn, said: str) -> bool:
    """Say whether a text that means STOP says nothing else."""
    lists = ("stop", "stop_alone", "beside")
    catalogue, language = turn.deps.catalogue, turn.language
    return not typed.left_over(said, {w for each in lists for w in catalogue.words(language, each)})


def _plain_question(turn: Turn, said: str) -> bool:
    """Say whether a question about limits says nothing else, of how the skin is for instance."""
    catalogue, language = turn.deps.catalogue, turn.language
    known = {*catalogue.words(language, "asking"), *catalogue.words(language, "beside")}
    known.update(word for names in catalogue.limit_words(language).values() for word in names)
    return not typed.left_over(said, known)
