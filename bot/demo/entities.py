"""Telegram's formatted text: HTML parsed as the server parses it, and the entities it finds by
itself, in UTF-16 units.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.demo.refusals import (
    CANNOT_PARSE,
    TEXT_BLANK,
    TEXT_EMPTY,
    TEXT_RAW_TOO_LONG,
    Json,
    Refusal,
    bad,
)

TEXT_LIMIT = 4096
CAPTION_LIMIT = 1024
RAW_BYTES = 32_768

_KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "a": "text_link",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
    "tg-time": "date_time",
}
_SPACES = " \t\r\n\v"
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:#[xX]([0-9a-fA-F]{1,8})|#([0-9]{1,8})|([a-zA-Z]+));?")
_FOUND = (
    ("url", re.compile(r"https?://[^\s<>\"']+|(?<![\w@./])t\.me/[^\s<>\"']+")),
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-zA-Z]{2,}")),
    ("mention", re.compile(r"(?<![\w@/.])@[A-Za-z][A-Za-z0-9_]{3,31}\b")),
    ("bot_command", re.compile(r"(?<![\w/<>@])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?\b")),
    ("hashtag", re.compile(r"(?<![\w#])#(?=\w*[^\W\d_])\w{1,256}")),
)


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text as phones show it, with its entities."""

    text: str
    entities: tuple[Json, ...] = ()


@dataclass(slots=True)
class _Span:
    """An entity still counted in code points, before the text is cleaned."""

    kind: str
    start: int
    end: int
    more: Json


def utf16(text: str) -> int:
    """The length of a text in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def formatted(
    text: str, parse_mode: str | None, entities: list[Json] | None = None, *, caption: bool = False
) -> Formatted:
    """The text and entities that a message would hold, or a refusal; an empty caption is
    allowed.
    """
    if not text and not caption:
        raise bad(TEXT_EMPTY)
    if len(text.encode()) > RAW_BYTES:
        raise bad(TEXT_RAW_TOO_LONG)
    mode = (parse_mode or "").lower()
    if mode == "html":
        raw, spans = _parse(text)
    elif mode in ("", "none"):
        raw, spans = text, _given(text, entities or [])
    else:
        raise bad("unsupported parse_mode")
    result = _finish(raw, spans)
    if not result.text and not caption:
        raise bad(TEXT_BLANK)
    return result


def typed(text: str) -> Formatted:
    """A text as a person typed it: commands, links and mentions found, nothing parsed."""
    return _finish(text, [])


def _reference(text: str, at: int) -> tuple[str, int] | None:
    """The character that a reference at this place stands for and where it ends; None for
    literal text.
    """
    match = _REFERENCE.match(text, at)
    if match is None:
        return None
    hexadecimal, decimal, name = match.groups()
    if name is not None:
        return (_NAMED[name], match.end()) if name in _NAMED else None
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    if number == 0 or number >= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return None
    return chr(number), match.end()


class _Parser:
    """One pass over an HTML text, with the server's own order of complaints."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.open: list[tuple[str, str, int]] = []
        self.spans: list[_Span] = []

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def complaint(self, what: str, at: int | None = None) -> Refusal:
        where = "" if at is None else f" at byte offset {len(self.text[:at].encode())}"
        return bad(f"{CANNOT_PARSE}{what}{where}")

    def skip(self, stop: str) -> str:
        start = self.at
        while self.peek() and self.peek() not in stop:
            self.at += 1
        return self.text[start : self.at]

    def skip_spaces(self) -> None:
        while self.peek() and self.peek() in _SPACES:
            self.at += 1

    def parse(self) -> tuple[str, list[_Span]]:
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "&" and (found := _reference(self.text, self.at)):
                self.out.append(found[0])
                self.at = found[1]
            elif character != "<":
                self.out.append(character)
                self.at += 1
            elif self.text.startswith("</", self.at):
                self.end_tag()
            else:
                self.start_tag()
        if self.open:
            tag = self.open[-1][0]
            raise self.complaint(f'Can\'t find end tag corresponding to start tag "{tag}"')
        return "".join(self.out), self.spans

    def start_tag(self) -> None:
        begin = self.at
        self.at += 1
        tag = self.skip(_SPACES + ">").lower()
        if not self.peek():
            raise self.complaint("Unclosed start tag", begin)
        if tag not in _KINDS:
            raise self.complaint(f'Unsupported start tag "{tag}"', begin)
        argument = ""
        while self.peek() != ">":
            self.skip_spaces()
            if self.peek() == ">":
                break
            name, value = self.attribute(tag, begin)
            argument = _argument(tag, name, value, argument)
        self.at += 1
        if tag == "span" and argument != "spoiler":
            raise self.complaint('Tag "span" must have class "tg-spoiler"', begin)
        self.open.append((tag, argument, len(self.out)))

    def attribute(self, tag: str, begin: int) -> tuple[str, str]:
        name = self.skip(_SPACES + "=>/\"'").lower()
        if not name:
            if not self.peek():
                raise self.complaint("Unclosed start tag", begin)
            raise self.complaint(f'Empty attribute name in the tag "{tag}"', begin)
        self.skip_spaces()
        if self.peek() != "=":
            if not self.peek():
                raise self.complaint("Unclosed start tag", begin)
            return name, ""
        self.at += 1
        self.skip_spaces()
        if self.peek() in ("'", '"') and self.peek():
            value = self.quoted()
        else:
            token = self.at
            while self.peek().isalnum() or self.peek() in (".", "-"):
                self.at += 1
            value = self.text[token : self.at].lower()
            if self.peek() and self.peek() not in _SPACES + ">":
                raise self.complaint("Unexpected end of name token", token)
        if not self.peek():
            raise self.complaint("Unclosed start tag", begin)
        return name, value

    def quoted(self) -> str:
        quote = self.peek()
        self.at += 1
        value: list[str] = []
        while self.peek() and self.peek() != quote:
            if self.peek() == "&" and (found := _reference(self.text, self.at)):
                value.append(found[0])
                self.at = found[1]
            else:
                value.append(self.peek())
                self.at += 1
        if self.peek():
            self.at += 1
        return "".join(value)

    def end_tag(self) -> None:
        begin = self.at
        if not self.open:
            raise self.complaint("Unexpected end tag", begin)
        self.at += 2
        found = self.skip(_SPACES + ">").lower()
        self.skip_spaces()
        if self.peek() != ">":
            raise self.complaint("Unclosed end tag", begin)
        self.at += 1
        tag, argument, start = self.open.pop()
        if found and found != tag:
            raise self.complaint(
                f"Unmatched end tag at byte offset {len(self.text[:begin].encode())}, "
                f'expected "</{tag}>", found "</{found}>"'
            )
        if len(self.out) > start:
            self.close(tag, argument, start)

    def close(self, tag: str, argument: str, start: int) -> None:
        kind, more = _KINDS[tag], {}
        if tag == "a":
            url = _link(argument or "".join(self.out[start:]))
            if url is None:
                return
            more = {"url": url}
        elif tag == "pre":
            last = self.spans[-1] if self.spans else None
            if last and last.kind == "code" and (last.start, last.end) == (start, len(self.out)):
                self.spans.pop()
                more = {"language": last.more["language"]} if "language" in last.more else {}
        elif tag == "code" and argument:
            more = {"language": argument}
        elif tag == "blockquote" and argument:
            kind = "expandable_blockquote"
        elif tag == "tg-emoji":
            more = {"custom_emoji_id": argument}
        self.spans.append(_Span(kind, start, len(self.out), more))


def _argument(tag: str, name: str, value: str, before: str) -> str:
    if tag == "a" and name == "href":
        return value
    if tag == "code" and name == "class" and value.startswith("language-"):
        return value.removeprefix("language-")
    if tag == "span" and name == "class" and value.startswith("tg-"):
        return value.removeprefix("tg-")
    if tag == "tg-emoji" and name == "emoji-id":
        return value
    if tag == "blockquote" and name == "expandable":
        return "1"
    return before


def host_is_valid(url: str) -> bool:
    """Whether Telegram takes an address as a link: http(s) with a dot in the host, or its own
    scheme.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme in ("tg", "ton"):
        return True
    return parts.scheme in ("http", "https") and "." in (parts.hostname or "").strip(".")


def _link(url: str) -> str | None:
    url = url.strip()
    if not url or not host_is_valid(url):
        return None
    if "://" not in url:
        url = f"http://{url}"
    parts = urlsplit(url)
    return url + "/" if parts.scheme in ("http", "https") and not parts.path else url


def _parse(text: str) -> tuple[str, list[_Span]]:
    return _Parser(text).parse()


def _given(text: str, entities: list[Json]) -> list[_Span]:
    """Entities that the caller counted in UTF-16 units, counted in code points."""
    places = {0: 0}
    count = 0
    for index, character in enumerate(text, start=1):
        count += 2 if ord(character) > 0xFFFF else 1
        places[count] = index
    spans = []
    for entity in entities:
        start = places.get(int(entity["offset"]))
        end = places.get(int(entity["offset"]) + int(entity["length"]))
        if start is None or end is None or end <= start:
            raise bad("ENTITY_BOUNDS_INVALID")
        more = {k: v for k, v in entity.items() if k not in ("type", "offset", "length")}
        spans.append(_Span(str(entity["type"]), start, end, more))
    return spans


def _clean(character: str) -> str:
    if character == "\r" or "\u2028" <= character <= "\u202e":
        return ""
    return " " if character < " " and character != "\n" else character


def _finish(raw: str, spans: list[_Span]) -> Formatted:
    """Cleaned and trimmed as the server does, with its own finds added, counted in UTF-16 units."""
    places: list[int] = []
    kept: list[str] = []
    for character in raw:
        places.append(len(kept))
        kept.extend(_clean(character))
    places.append(len(kept))
    whole = "".join(kept)
    text = whole.strip(" \n")
    cut = len(whole) - len(whole.lstrip(" \n"))

    def place(at: int) -> int:
        return min(max(places[at] - cut, 0), len(text))

    moved = [_Span(s.kind, place(s.start), place(s.end), s.more) for s in spans]
    moved = [span for span in moved if span.end > span.start]
    plain = [span for span in moved if span.kind in ("code", "pre")]
    moved = [
        span
        for span in moved
        if span in plain or not any(p.start <= span.start and span.end <= p.end for p in plain)
    ]
    for found in _found(text):
        if not any(
            span.kind in ("code", "pre", "text_link", "url", "email", "mention")
            and span.start < found.end
            and found.start < span.end
            for span in moved
        ):
            moved.append(found)
    moved.sort(key=lambda span: (span.start, -span.end))
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if ord(character) > 0xFFFF else 1))
    return Formatted(
        text,
        tuple(
            {
                "type": span.kind,
                "offset": units[span.start],
                "length": units[span.end] - units[span.start],
                **(span.more if span.kind != "code" else {}),
            }
            for span in moved
        ),
    )


def _found(text: str) -> list[_Span]:
    spans = []
    for kind, pattern in _FOUND:
        for match in pattern.finditer(text):
            end = match.start() + len(match.group().rstrip(".,;:!?)]"))
            if kind == "url" and not host_is_valid(text[match.start() : end]):
                continue
            spans.append(_Span(kind, match.start(), end, {}))
    return spans
