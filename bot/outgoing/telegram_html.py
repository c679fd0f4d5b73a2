"""Telegram's HTML: what its parser accepts, and what the phone then shows."""

import html
import re

LONGEST = 4096
"""Code points of visible text that one message may hold."""

TAGS = frozenset(
    {
        *("b", "strong", "i", "em", "u", "ins", "s", "strike", "del"),
        *("a", "code", "pre", "blockquote", "tg-spoiler"),
    }
)
_REFERENCE = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|lt|gt|amp|quot);")
_NAMED = re.compile(r"&[a-zA-Z][a-zA-Z0-9]*;")
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z-]*)(?P<rest>[^<>]*)>")
_LINK = re.compile(r'\s+href="(?P<address>[^"]+)"')
_ADDRESS = re.compile(r"(?:https://[^\s/]+\.[^\s/]+(?:/\S*)?|tel:\+?[0-9]+|tg://\S+)")
_CONTROL = {code: " " for code in range(32) if code != 10} | {13: None}


class HtmlError(ValueError):
    """Telegram would refuse this text, or show it otherwise than it was meant."""


def parse(source: str) -> str:
    """The text that the phone shows: tags gone, references decoded, trimmed; HtmlError if refused.

    Stricter than Telegram where Telegram would quietly show something else: an unknown reference
    (``&nbsp;``), a link that it would drop, a character that is half of a pair.
    """
    shown: list[str] = []
    open_tags: list[str] = []
    position = 0
    while position < len(source):
        start = source.find("<", position)
        end = len(source) if start < 0 else start
        shown.append(_decode(source[position:end]))
        if start < 0:
            break
        found = _TAG.match(source, start)
        if found is None:
            raise HtmlError(f"not a tag at character {start}")
        _apply(found, open_tags)
        position = found.end()
    if open_tags:
        raise HtmlError(f"tag <{open_tags[-1]}> is never closed")
    return _as_shown("".join(shown))


def _apply(found: re.Match[str], open_tags: list[str]) -> None:
    name, rest = found["name"].lower(), found["rest"]
    if name not in TAGS:
        raise HtmlError(f"tag <{name}> is not known to Telegram")
    if found["close"]:
        if rest.strip():
            raise HtmlError(f"closing tag </{name}> has more than a name")
        if not open_tags or open_tags[-1] != name:
            raise HtmlError(f"closing tag </{name}> closes nothing")
        open_tags.pop()
        return
    _check_attributes(name, rest)
    open_tags.append(name)


def _check_attributes(name: str, rest: str) -> None:
    if name == "a":
        link = _LINK.fullmatch(rest)
        if link is None:
            raise HtmlError('a link is written <a href="…"> and nothing else')
        if not _ADDRESS.fullmatch(html.unescape(link["address"])):
            raise HtmlError("Telegram would drop this link: https and a host with a dot")
    elif rest and not (name == "blockquote" and rest.strip() == "expandable"):
        raise HtmlError(f"tag <{name}> takes no attributes")


def _decode(source: str) -> str:
    unknown = [name for name in _NAMED.findall(source) if not _REFERENCE.fullmatch(name)]
    if unknown:
        raise HtmlError(f"{unknown[0]} would be shown as it stands")
    return _REFERENCE.sub(lambda found: html.unescape(found.group()), source)


def _as_shown(text: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise HtmlError("half of a surrogate pair cannot be sent")
    return text.translate(_CONTROL).strip()
