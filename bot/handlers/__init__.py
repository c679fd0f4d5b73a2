"""The table of contents: what reaches which handler. Order matters: the first match handles it."""

from telegram import Update
from telegram.ext import (
    BaseHandler,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    MessageHandler,
    filters,
)

from bot.handlers import everyone, own, patient, practitioner
from bot.handlers.context import CareApplication, CareContext
from bot.outgoing.buttons import pattern
from bot.services.errors import StaleButton

Handler = BaseHandler[Update, CareContext, None]

# Each of these has a description in the labels; the command menus are built from them.
PATIENT_COMMANDS = {
    "start": everyone.start,
    "plan": patient.plan,
    "limits": patient.limits,
    "ask": patient.ask,
    "wrong": patient.wrong,
    "visits": patient.visits,
    "stop": patient.stop,
    "settings": own.settings,
    "mydata": own.my_data,
    "erase": own.erase,
    "help": everyone.show_help,
}
PRACTITIONER_COMMANDS = {
    "enroll": practitioner.enroll,
    "today": practitioner.show_today,
    "patients": practitioner.patients,
    "team": practitioner.team,
    "undo": practitioner.undo_last,
    "help": everyone.show_help,
}
_TAPS = {
    # A patient joining.
    "me": patient.is_it_me,
    "agree": patient.agree,
    "more": patient.read_more,
    "refuse": patient.refuse,
    "zone": patient.zone,
    "clock": patient.clock,
    "city": patient.city,
    # A patient in care.
    "wrong": patient.wrong,
    "step": patient.step,
    "trend": patient.trend,
    "ask": patient.ask,
    "danger": patient.danger,
    "sign": patient.sign,
    "said": patient.said,
    "change": patient.change_time,
    "keepphotos": patient.keep_photos,
    "angle": patient.angle,
    "stop": patient.stop_choice,
    "resume": patient.resume_choice,
    # A patient's own settings and data.
    "later": own.remind_later,
    "settings": own.setting,
    "quiet": own.quiet,
    "setclock": own.clock,
    "setcity": own.city,
    "language": own.language,
    "unpause": own.unpause,
    "erase": own.erase_choice,
    # A practitioner.
    "new": practitioner.new,
    "treat": practitioner.treat,
    "variant": practitioner.variant,
    "newtime": practitioner.of_draft,
    "newplan": practitioner.of_draft,
    "create": practitioner.of_draft,
    "added": practitioner.of_draft,
    "product": practitioner.of_draft,
    "cancel": practitioner.of_draft,
    "patients": practitioner.page_of_patients,
    "unsent": practitioner.page_of_unsent,
    "older": practitioner.page_of_sent,
    "newer": practitioner.page_of_sent,
    "confirm": practitioner.confirm,
    "ack": practitioner.acknowledge,
    "close": practitioner.of_alert,
    "outcome": practitioner.outcome,
    "resumeafter": practitioner.of_alert,
    "undo": practitioner.undo,
    "target": practitioner.target,
    "upkeepin": practitioner.upkeep_in,
    "pausefor": practitioner.pause_for,
    "today": practitioner.show_today,
    "protocols": practitioner.protocols,
    "protocol": practitioner.protocol,
    "approve": practitioner.approve,
    "test": practitioner.of_clinic,
    "invite": practitioner.of_clinic,
    "remove": practitioner.of_clinic,
    "member": practitioner.of_clinic,
    "duty": practitioner.duty,
    "drill": practitioner.drill,
    "drillseen": practitioner.of_clinic,
    "clinicphotos": practitioner.of_clinic,
    **dict.fromkeys(practitioner.OF_PATIENT, practitioner.of_patient),
    **dict.fromkeys(practitioner.OF_COURSE, practitioner.of_course),
}


async def _unknown_tap(_update: Update, _context: CareContext) -> None:
    """A button of a format or action that we do not know (any more)."""
    raise StaleButton


async def _keep_failure(_update: object, context: CareContext) -> None:
    """Hand what a handler raised to the transaction: the library would swallow it here."""
    context.turn.failure = context.error


def register(application: CareApplication) -> None:
    """Give the application every handler, in matching order."""
    new_message = filters.UpdateType.MESSAGE
    private = filters.ChatType.PRIVATE
    for name, handler in (PATIENT_COMMANDS | PRACTITIONER_COMMANDS).items():
        application.add_handler(CommandHandler(name, handler, new_message & private))
    # A group of its own: it runs before whatever the tap is for.
    application.add_handler(CallbackQueryHandler(practitioner.as_test_patient), group=-1)
    for action, handler in _TAPS.items():
        application.add_handler(CallbackQueryHandler(handler, pattern(action)))
    application.add_handlers(
        [
            CallbackQueryHandler(_unknown_tap),
            ChatMemberHandler(everyone.membership, ChatMemberHandler.MY_CHAT_MEMBER),
            MessageHandler(filters.UpdateType.EDITED_MESSAGE & private, everyone.edited),
            MessageHandler(filters.COMMAND & new_message & private, everyone.unknown_command),
            MessageHandler(filters.TEXT & new_message & private, everyone.text),
            MessageHandler(new_message & private, everyone.anything_else),
        ]
    )
    application.add_error_handler(_keep_failure)
