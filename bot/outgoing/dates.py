"""Days, clock times and lists as text in the reader's language."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, get_datetime_format
from babel.lists import format_list

# Plain "en" is American to Babel; the texts put the day before the month and no comma before "and".
_LOCALES = {"en": "en_GB"}
_SHORT_MONTH = re.compile(r"(?<!M)MMM(?!M)")


def locale(language: str) -> Locale:
    """Babel's locale for a language tag such as ``en`` or ``pt-br``; ValueError if unknown."""
    tag = _LOCALES.get(language.lower(), language).replace("-", "_")
    try:
        return Locale.parse(tag)
    except UnknownLocaleError as fault:
        raise ValueError(f"no such language: {language}") from fault


def day(value: date, language: str, today: date) -> str:
    """Weekday, day and full month, "Mon 10 March"; of another year than today "Mon, 10 March 2027".

    Both dates are taken as they are, without a zone: the reader's.
    """
    reader = locale(language)
    known = reader.datetime_skeletons
    skeletons = ("MMMMEd", "MMMEd") if value.year == today.year else ("yMMMMEd", "yMMMEd")
    pattern = next(str(known[each].pattern) for each in skeletons if each in known)
    return format_date(value, _SHORT_MONTH.sub("MMMM", pattern), locale=reader)


def clock(value: time) -> str:
    """A local clock time in 24-hour form, "18:00"."""
    return f"{value.hour:02d}:{value.minute:02d}"


def moment(value: datetime, zone: ZoneInfo, language: str, now: datetime) -> str:
    """An aware instant as day and clock time in ``zone``, "Mon 10 March, 18:00".

    The year is said where ``now`` is in another one there.
    """
    if value.tzinfo is None or now.tzinfo is None:
        raise ValueError("a moment needs a zone")
    local = value.astimezone(zone)
    pattern = str(get_datetime_format("medium", locale=locale(language)))
    today = now.astimezone(zone).date()
    words = {"{1}": day(local.date(), language, today), "{0}": clock(local.time())}
    return re.sub(r"\{[01]\}", lambda found: words[found.group()], pattern)


def join(parts: Sequence[str], language: str, style: Literal["standard", "or"] = "standard") -> str:
    """The parts as one phrase, "gym, sauna and pool"; empty for no parts."""
    return format_list(list(parts), style=style, locale=locale(language)) if parts else ""


def plural_form(count: int, language: str) -> str:
    """The CLDR plural category of a count in the language: one, two, few, many or other."""
    return str(locale(language).plural_form(count))
