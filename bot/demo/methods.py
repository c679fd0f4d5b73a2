"""Every method of the Bot API that is built, each a plain function of Telegram and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.demo import editing, refusals, sending
from bot.demo.chats import Toast
from bot.demo.params import Params
from bot.demo.profile import PROFILE_METHODS
from bot.demo.reaching import chat_of, spoken_chat
from bot.demo.refusals import Json, Refusal, bad

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram

TOAST_LIMIT = 200


# taps and files


def answer_callback_query(telegram: LocalTelegram, params: Params) -> object:
    number = params.text("callback_query_id")
    person, tapped_at = telegram.queries.get(number, (None, telegram.now()))
    if person is None or telegram.now() - tapped_at > telegram.query_life:
        raise bad(refusals.QUERY_TOO_OLD)
    text = params.text("text")
    if len(text) > TOAST_LIMIT:
        raise bad("MESSAGE_TOO_LONG")
    del telegram.queries[number]
    person.unanswered.pop(number, None)
    if text:
        person.toasts.append(Toast(text, params.truth("show_alert"), telegram.now()))
    telegram.bell.ring()
    return True


def get_file(telegram: LocalTelegram, params: Params) -> object:
    if not params.text("file_id"):
        raise bad("file_id is empty")
    return telegram.files.link(params.text("file_id"), telegram.now())


# chats


def get_chat(telegram: LocalTelegram, params: Params) -> object:
    chat = spoken_chat(telegram, params)
    return {
        **chat.api,
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": {
            "unlimited_gifts": False,
            "limited_gifts": False,
            "unique_gifts": False,
            "premium_subscription": False,
            "gifts_from_channels": False,
        },
    }


def leave_chat(telegram: LocalTelegram, params: Params) -> object:
    chat = chat_of(telegram, params)
    if chat.person is not None:
        raise bad("chat member status can't be changed in private chats")
    chat.bot_is_member = False
    telegram.bell.ring()
    return True


def get_me(telegram: LocalTelegram, _params: Params) -> object:
    return {
        **telegram.me,
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


# updates by webhook (getUpdates waits, so the server calls it itself)


def set_webhook(telegram: LocalTelegram, params: Params) -> object:
    url = params.text("url")
    if not url:
        return delete_webhook(telegram, params)
    telegram.updates.set_webhook(
        url, params.text("secret_token"), params.integer("max_connections", 40)
    )
    telegram.updates.remember(params.names("allowed_updates"))
    if params.truth("drop_pending_updates"):
        telegram.updates.forget()
    return True


def delete_webhook(telegram: LocalTelegram, params: Params) -> object:
    telegram.updates.webhook = None
    if params.truth("drop_pending_updates"):
        telegram.updates.forget()
    telegram.bell.ring()
    return True


def get_webhook_info(telegram: LocalTelegram, _params: Params) -> object:
    webhook = telegram.updates.webhook
    info: Json = {
        "url": webhook.url if webhook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(telegram.updates.pending()),
    }
    if webhook is not None:
        info["max_connections"] = webhook.max_connections
        if webhook.last_error_at is not None:
            info["last_error_date"] = int(webhook.last_error_at.timestamp())
            info["last_error_message"] = webhook.last_error
    if telegram.updates.allowed:
        info["allowed_updates"] = list(telegram.updates.allowed)
    return info


METHODS: dict[str, Callable[[LocalTelegram, Params], object]] = {
    "getme": get_me,
    "sendmessage": sending.send_message,
    "sendphoto": sending.sender("photo"),
    "senddocument": sending.sender("document"),
    "sendvoice": sending.sender("voice"),
    "sendvideo": sending.sender("video"),
    "sendmediagroup": sending.send_media_group,
    "copymessage": sending.copy_message,
    "copymessages": sending.copy_messages,
    "sendchataction": sending.send_chat_action,
    "editmessagetext": editing.edit_message_text,
    "editmessagecaption": editing.edit_message_caption,
    "editmessagereplymarkup": editing.edit_message_reply_markup,
    "deletemessage": editing.delete_message,
    "deletemessages": editing.delete_messages,
    "answercallbackquery": answer_callback_query,
    "getfile": get_file,
    "getchat": get_chat,
    "leavechat": leave_chat,
    "setwebhook": set_webhook,
    "deletewebhook": delete_webhook,
    "getwebhookinfo": get_webhook_info,
    **PROFILE_METHODS,
}


def perform(telegram: LocalTelegram, method: str, params: Params) -> object:
    """The result of a call that does not wait; a Refusal when it is refused or not built."""
    built = METHODS.get(method.lower())
    if built is None:
        raise Refusal(404, refusals.METHOD_NOT_FOUND)
    return built(telegram, params)
