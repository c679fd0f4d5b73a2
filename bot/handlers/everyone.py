"""What anybody may do: press Start, type, send things, block the bot."""

from telegram import ChatMember, Message, Update

from bot.handlers import patient, practitioner
from bot.handlers.context import CareContext
from bot.services import control, joining, phones, photos, reach, reports, screens, team
from bot.services.errors import CareError
from bot.services.photos import Picture
from bot.services.turn import Turn

_PICTURE_NAMES = (".jpg", ".jpeg", ".png", ".webp", ".heic")


def _message(update: Update) -> Message:
    if update.effective_message is None:
        raise CareError("not_understood")
    return update.effective_message


async def start(update: Update, context: CareContext) -> None:
    """/start, with or without the code of a link."""
    turn = context.turn
    typed = (_message(update).text or "").split(maxsplit=1)
    if len(typed) > 1:
        await joining.open_link(turn, typed[1].strip())
    elif turn.practitioner is not None:
        await screens.show_menu(turn)
    elif turn.patient is not None:
        await patient.start(turn)
    else:
        raise CareError("no_invitation")


async def show_help(_update: Update, context: CareContext) -> None:
    """/help"""
    turn = context.turn
    if turn.practitioner is not None:
        await screens.show_help(turn)
    elif turn.patient is not None:
        await control.show_help(turn)
    else:
        raise CareError("no_invitation")


async def text(update: Update, context: CareContext) -> None:
    """Anything typed that is no command."""
    turn = context.turn
    message = _message(update)
    typed, replied = message.text or "", message.reply_to_message
    if turn.practitioner is not None:
        await practitioner.typed(turn, typed, replied.message_id if replied else None)
    elif turn.patient is not None:
        await patient.typed(turn, typed)
    else:
        raise CareError("no_invitation")


async def unknown_command(update: Update, context: CareContext) -> None:
    """A command that does not exist: a patient's is passed on like any text."""
    turn = context.turn
    if turn.practitioner is None and turn.patient is not None:
        await reports.pass_on(turn, "text", _message(update).text or "")
        return
    raise CareError("no_such_command" if turn.practitioner is not None else "no_invitation")


async def edited(update: Update, context: CareContext) -> None:
    """A patient changed a message sent before: the new wording reaches the clinic too."""
    turn = context.turn
    if turn.patient is not None and turn.practitioner is None:
        message = _message(update)
        if message.location is not None:
            # A live location moves by itself; where it began was passed on.
            return
        said = message.text or message.caption or ""
        await reports.pass_on(turn, "edited", said, attached=message.text is None)


async def anything_else(update: Update, context: CareContext) -> None:
    """A photo, voice note, file, sticker, place, poll … whatever it is, it is passed on."""
    turn = context.turn
    message = _message(update)
    if turn.practitioner is not None:
        await screens.cannot_read(turn, message.media_group_id or "")
        return
    if turn.patient is None:
        raise CareError("no_invitation")
    shared = message.contact
    if shared is not None and await phones.take(turn, shared.phone_number, shared.user_id):
        return
    await reports.pass_on(
        turn,
        _kind(message),
        message.caption or "",
        attached=True,
        album=message.media_group_id or "",
    )
    if (picture := _picture(message)) is not None:
        urgent = reports.has_emergency_word(turn, message.caption or "")
        await photos.receive(turn, picture, urgent=urgent)


def _picture(message: Message) -> Picture | None:
    """Return what says of itself that it is a picture; whether it is one the child finds out."""
    album = message.media_group_id or ""
    if message.photo:
        largest = message.photo[-1]
        return Picture(largest.file_id, largest.file_size or 0, album)
    file = message.document
    if file is None:
        return None
    named = (file.file_name or "").lower().endswith(_PICTURE_NAMES)
    if not named and not (file.mime_type or "").startswith("image/"):
        return None
    return Picture(file.file_id, file.file_size or 0, album)


def _kind(message: Message) -> str:
    if message.photo:
        return "photo"
    if message.voice or message.audio or message.video_note or message.video:
        return "voice"
    return "other"


async def membership(update: Update, context: CareContext) -> None:
    """The bot was blocked or unblocked by somebody."""
    turn: Turn = context.turn
    change = update.my_chat_member
    gone = (ChatMember.BANNED, ChatMember.LEFT)
    if change is None:
        return
    if change.new_chat_member.status not in gone:
        if turn.practitioner is not None:
            await reach.back(turn.session, turn.practitioner, turn.now)
        return
    if turn.practitioner is not None:
        await team.lose(turn.session, turn.practitioner, turn.now)
    if turn.patient is not None:
        await patient.blocked(turn)
