"""What the local Telegram refuses, in the words of the real Bot API."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

_CLASSES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
}


class Refusal(Exception):
    """A call that is answered with an error code, a description and perhaps parameters."""

    def __init__(self, code: int, description: str = "", parameters: Json | None = None) -> None:
        prefix = _CLASSES.get(code, "Error")
        self.code = code
        self.description = f"{prefix}: {description}" if description else prefix
        self.parameters = parameters
        super().__init__(self.description)

    @property
    def body(self) -> Json:
        """The JSON body that the Bot API would answer."""
        body: Json = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            body["parameters"] = self.parameters
        return body


def bad(description: str) -> Refusal:
    """A 400 with this description."""
    return Refusal(400, description)


def flood(seconds: int) -> Refusal:
    """A 429 that asks for a pause of so many seconds."""
    return Refusal(429, f"retry after {seconds}", {"retry_after": seconds})


CANNOT_PARSE = "can't parse entities: "
TEXT_EMPTY = "message text is empty"
TEXT_BLANK = "text must be non-empty"
TEXT_RAW_TOO_LONG = "text is too long"
TEXT_TOO_LONG = "message is too long"
CAPTION_TOO_LONG = "message caption is too long"
BUTTON_DATA = "BUTTON_DATA_INVALID"
BUTTON_BARE = (
    "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
)
CHAT_NOT_FOUND = "chat not found"
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
EDIT_NOT_FOUND = "message to edit not found"
EDIT_REFUSED = "message can't be edited"
EDIT_NO_TEXT = "there is no text in the message to edit"
EDIT_NO_CAPTION = "there is no caption in the message to edit"
INLINE_EXPECTED = "inline keyboard expected"
DELETE_NOT_FOUND = "message to delete not found"
DELETE_REFUSED = "message can't be deleted"
REPLY_NOT_FOUND = "message to be replied not found"
COPY_NOT_FOUND = "message to copy not found"
QUERY_TOO_OLD = "query is too old and response timeout expired or query ID is invalid"
WRONG_FILE = "wrong file identifier/HTTP URL specified"
INVALID_FILE_ID = "invalid file_id"
FILE_TOO_BIG = "file is too big"
UPGRADED = "group chat was upgraded to a supergroup chat"
BLOCKED = "bot was blocked by the user"
DEACTIVATED = "user is deactivated"
NEVER_STARTED = "bot can't initiate conversation with a user"
NOT_A_MEMBER = "bot is not a member of the group chat"
METHOD_NOT_FOUND = "method not found"
OTHER_POLL = (
    "terminated by other getUpdates request; make sure that only one bot instance is running"
)
WEBHOOK_ACTIVE = (
    "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook "
    "first"
)
WEBHOOK_SET = "terminated by setWebhook request"
