"""The methods about the bot itself: its commands by scope and language, its name, its
descriptions, its menu button.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.demo.params import Params
from bot.demo.refusals import CHAT_NOT_FOUND, Json, bad

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram

_NAME = re.compile(r"[a-z0-9_]{1,32}")
_SCOPES = (
    "default",
    "all_private_chats",
    "all_group_chats",
    "all_chat_administrators",
    "chat",
    "chat_administrators",
    "chat_member",
)
_TEXTS = {
    "name": ("name", 64),
    "description": ("description", 512),
    "short": ("short_description", 120),
}


def _scope(telegram: LocalTelegram, params: Params) -> tuple[str, str]:
    """The scope and language of a call about commands, as one key."""
    scope = params.mapping("scope")
    kind = str(scope.get("type", "default"))
    if kind not in _SCOPES:
        raise bad("unsupported BotCommandScope specified")
    if kind == "chat":
        number = int(scope.get("chat_id", 0))
        chat = telegram.chats.get(number)
        if chat is None or (chat.person is not None and not chat.person.started):
            raise bad(CHAT_NOT_FOUND)
        kind = f"chat:{number}"
    language = params.text("language_code")
    if language and not re.fullmatch(r"[a-z]{2}", language):
        raise bad("invalid language code specified")
    return kind, language


def set_my_commands(telegram: LocalTelegram, params: Params) -> object:
    commands = params.entries("commands")
    if len(commands) > 100:
        raise bad("BOT_COMMANDS_TOO_MUCH")
    kept: list[Json] = []
    for command in commands:
        name = str(command.get("command", "")).removeprefix("/")
        description = str(command.get("description", "")).strip()
        if not _NAME.fullmatch(name):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= len(description) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
        kept.append({"command": name, "description": description})
    scope = _scope(telegram, params)
    if kept:
        telegram.commands[scope] = kept
    else:
        telegram.commands.pop(scope, None)
    telegram.bell.ring()
    return True


def get_my_commands(telegram: LocalTelegram, params: Params) -> object:
    return telegram.commands.get(_scope(telegram, params), [])


def delete_my_commands(telegram: LocalTelegram, params: Params) -> object:
    telegram.commands.pop(_scope(telegram, params), None)
    telegram.bell.ring()
    return True


def _setter(key: str) -> Callable[[LocalTelegram, Params], object]:
    field, longest = _TEXTS[key]

    def set_text(telegram: LocalTelegram, params: Params) -> object:
        text, language = params.text(field), params.text("language_code")
        if len(text) > longest:
            raise bad(f"BOT_{field.upper()}_TOO_LONG")
        telegram.profile[key, language] = text
        telegram.bell.ring()
        return True

    return set_text


def _getter(key: str) -> Callable[[LocalTelegram, Params], object]:
    field, _ = _TEXTS[key]

    def get_text(telegram: LocalTelegram, params: Params) -> object:
        default = str(telegram.me["first_name"]) if key == "name" else ""
        general = telegram.profile.get((key, "")) or default
        return {field: telegram.profile.get((key, params.text("language_code"))) or general}

    return get_text


def set_chat_menu_button(telegram: LocalTelegram, params: Params) -> object:
    telegram.menu_buttons[params.integer("chat_id")] = params.mapping("menu_button") or {
        "type": "default"
    }
    return True


def get_chat_menu_button(telegram: LocalTelegram, params: Params) -> object:
    general = telegram.menu_buttons.get(0, {"type": "commands"})
    return telegram.menu_buttons.get(params.integer("chat_id"), general)


PROFILE_METHODS: dict[str, Callable[[LocalTelegram, Params], object]] = {
    "setmycommands": set_my_commands,
    "getmycommands": get_my_commands,
    "deletemycommands": delete_my_commands,
    "setmyname": _setter("name"),
    "getmyname": _getter("name"),
    "setmydescription": _setter("description"),
    "getmydescription": _getter("description"),
    "setmyshortdescription": _setter("short"),
    "getmyshortdescription": _getter("short"),
    "setchatmenubutton": set_chat_menu_button,
    "getchatmenubutton": get_chat_menu_button,
}
