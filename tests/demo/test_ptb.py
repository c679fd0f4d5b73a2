"""python-telegram-bot 22.8 runs against the local Telegram: a tiny bot that echoes, edits, shows
and fetches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from telegram import (
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    KeyboardButton,
    ReplyKeyboardMarkup,
    Update,
)
from telegram.constants import ParseMode
from telegram.error import BadRequest, Forbidden, NetworkError, RetryAfter
from telegram.ext import (
    Application,
    ApplicationBuilder,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    filters,
)
from telegram.request import HTTPXRequest

from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG

pytestmark = pytest.mark.asyncio
App = Application[Any, Any, Any, Any, Any, Any]


async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.effective_message
    code = " ".join(context.args or [])
    await update.effective_message.reply_text(
        f"Hello <b>{code}</b>",
        parse_mode=ParseMode.HTML,
        reply_markup=InlineKeyboardMarkup(
            [
                [
                    InlineKeyboardButton("Yes", callback_data="yes"),
                    InlineKeyboardButton("No", callback_data="no"),
                ]
            ]
        ),
    )
    keys = ReplyKeyboardMarkup(
        [[KeyboardButton("My plan")], [KeyboardButton("Share", request_contact=True)]]
    )
    await update.effective_message.reply_text("Menu", reply_markup=keys)


async def tapped(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    query = update.callback_query
    assert query
    await query.answer("Noted", show_alert=query.data == "no")
    await query.edit_message_text(f"You said {query.data}")


async def echoed(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message
    await update.message.reply_text(f"echo {update.message.text}", do_quote=True)


async def edited(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.edited_message
    assert update.effective_chat
    await update.effective_chat.send_message(f"edited {update.edited_message.text}")


async def pictured(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message
    file = await update.message.photo[-1].get_file()
    data = bytes(await file.download_as_bytearray())
    await update.message.reply_photo(data, caption=f"{len(data)} bytes")
    await update.message.reply_document(data, filename="copy.png", caption="as a file")
    await update.message.reply_media_group([InputMediaPhoto(data), InputMediaPhoto(data)])


async def shared(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    assert update.message
    assert update.message.contact
    assert update.effective_user
    own = update.message.contact.user_id == update.effective_user.id
    await update.message.reply_text(f"contact own={own}")


@pytest_asyncio.fixture
async def ptb(server: Server) -> AsyncIterator[App]:
    def request() -> HTTPXRequest:
        return HTTPXRequest(connection_pool_size=8, httpx_kwargs={"trust_env": False})

    application = (
        ApplicationBuilder()
        .token(server.telegram.token)
        .base_url(f"{server.base_url}/bot")
        .base_file_url(f"{server.base_url}/file/bot")
        .request(request())
        .get_updates_request(request())
        .build()
    )
    seen: list[str] = []

    async def member(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.my_chat_member
        seen.append(update.my_chat_member.new_chat_member.status)

    application.bot_data["seen"] = seen
    message = filters.UpdateType.MESSAGE
    application.add_handler(CommandHandler("start", start, filters=message))
    application.add_handler(CallbackQueryHandler(tapped))
    application.add_handler(MessageHandler(message & filters.TEXT, echoed))
    application.add_handler(MessageHandler(message & filters.PHOTO, pictured))
    application.add_handler(MessageHandler(message & filters.CONTACT, shared))
    application.add_handler(MessageHandler(filters.UpdateType.EDITED_MESSAGE, edited))
    application.add_handler(ChatMemberHandler(member))
    await application.initialize()
    assert application.updater
    await application.updater.start_polling(timeout=5, allowed_updates=Update.ALL_TYPES)
    await application.start()
    yield application
    await application.updater.stop()
    await application.stop()
    await application.shutdown()


@pytest.mark.usefixtures("ptb")
async def test_a_conversation_with_buttons_keys_and_edits(ana: Person) -> None:
    await ana.starts("CODE-1")
    hello = await ana.hears("Hello CODE-1")
    assert hello.entities == ({"type": "bold", "offset": 6, "length": 6},)
    assert hello.buttons == (("Yes", "No"),)

    await ana.hears("Menu")
    assert ana.reply_keyboard == (("My plan",), ("Share",))
    await ana.taps("No")
    await ana.hears("You said no")
    assert (hello.text, hello.edited) == ("You said no", True)
    assert not hello.labels
    assert [(toast.text, toast.alert) for toast in ana.toasts] == [("Noted", True)]

    await ana.presses("My plan")
    echo = await ana.hears("echo My plan")
    assert echo.reply_to is not None
    await ana.presses("Share")
    await ana.hears("contact own=True")
    said = await ana.says("hi")
    await ana.edits(said, "hi there")
    await ana.hears("edited hi there")


@pytest.mark.usefixtures("ptb")
async def test_pictures_and_files_both_ways(ana: Person) -> None:
    await ana.sends_photo(PNG, "me")
    photo = await ana.hears(f"{len(PNG)} bytes")
    assert photo.photo == PNG
    document = (await ana.hears("as a file")).document
    assert document is not None
    assert (document.name, document.data) == ("copy.png", PNG)
    messages = await ana.gets(4)
    assert messages[-1].album
    assert messages[-1].album == messages[-2].album


async def test_blocking_is_heard_and_then_refused(
    ptb: App, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    await ana.hears("Menu")
    await ana.blocks()
    await telegram.wait_for(lambda: ptb.bot_data["seen"] == ["kicked"])
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await ptb.bot.send_message(ana.id, "still there?")
    await ana.unblocks()
    await telegram.wait_for(lambda: ptb.bot_data["seen"] == ["kicked", "member"])


async def test_errors_arrive_as_the_classes_that_ptb_knows(
    ptb: App, telegram: LocalTelegram, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    await ana.starts()
    await ana.hears("Menu")
    telegram.faults.flood("sendMessage", 7, chat=ana.id)
    with pytest.raises(RetryAfter) as flooded:
        await ptb.bot.send_message(ana.id, "x")
    assert flooded.value.retry_after == timedelta(seconds=7)
    with pytest.raises(BadRequest, match="Can't parse entities: unsupported start tag"):
        await ptb.bot.send_message(ana.id, "a<br>b", parse_mode=ParseMode.HTML)
    telegram.faults.bad_gateway("sendMessage")
    with pytest.raises(NetworkError):
        await ptb.bot.send_message(ana.id, "x")
    telegram.faults.drop("sendMessage", delivered=True)
    with pytest.raises(NetworkError, match=r"RemoteProtocolError|ReadError"):
        await ptb.bot.send_message(ana.id, "arrived all the same")
    assert ana.last_message.text == "arrived all the same"


async def test_what_the_bot_says_about_itself(ptb: App, ana: Person) -> None:
    assert ptb.bot.username == "aftercare_demo_bot"
    await ptb.bot.set_my_commands([BotCommand("plan", "What comes next")])
    assert [c.command for c in await ptb.bot.get_my_commands()] == ["plan"]
    await ana.starts()
    chat = await ptb.bot.get_chat(ana.id)
    assert (chat.first_name, chat.type) == ("Ana", "private")
    assert (await ptb.bot.get_webhook_info()).url == ""
    await ptb.bot.send_chat_action(ana.id, "typing")
