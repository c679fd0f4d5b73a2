"""Logs: fixed sentences and ids, no names, no words of a person, never the token."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError

# What any bot's token looks like, in a text and in an address.
_SHAPE = r"\d{6,}(?::|%3[aA])[A-Za-z0-9_-]{30,}"
_HIDDEN = "[token]"
# These write addresses with the token in them, whole updates, or values bound to statements.
_QUIET = (
    "httpx",
    "httpcore",
    "telegram",
    "apscheduler",
    "sqlalchemy",
    "alembic",
    "aiosqlite",
    "uvicorn",
    "asyncio",
)
_FIELDS = (
    "action",
    "message_id",
    "update_id",
    "reason",
    "cause",
    "template",
    "count",
    "kind",
    "job",
    "address",
    "seconds",
    "zone",
)


class Redaction(logging.Filter):
    """Takes the bot's token out of every record: text, arguments, traceback."""

    def __init__(self, token: str) -> None:
        """Hide ``token`` and anything that looks like one."""
        super().__init__()
        own = re.escape(token).replace(":", "(?::|%3[aA])")
        self._tokens = re.compile(f"{own}|{_SHAPE}" if token else _SHAPE)

    def clean(self, text: str) -> str:
        """Return the text without any token."""
        return self._tokens.sub(_HIDDEN, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place and let it through."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # A library's record whose arguments do not fit must not stop who wrote it.
            message = str(record.msg)
        record.msg, record.args = self.clean(message), ()
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = self.clean(record.exc_text) if record.exc_text else None
        record.stack_info = self.clean(record.stack_info) if record.stack_info else None
        for field in _FIELDS:
            value = record.__dict__.get(field)
            if isinstance(value, str):
                record.__dict__[field] = self.clean(value)
        return True


class Outages:
    """Says trouble that lasts in full once, then in one line with its cause until it is over."""

    def __init__(self, log: logging.Logger) -> None:
        """Speak through ``log``."""
        self._log = log
        self._lasting: set[tuple[str, str]] = set()

    def failed(self, sentence: str, error: Exception, action: str, job: str = "") -> None:
        """Say that this failed, or fails still."""
        extra = {"action": action, "cause": _cause(error)} | ({"job": job} if job else {})
        new = (action, job) not in self._lasting
        self._lasting.add((action, job))
        self._log.error(sentence, extra=extra, exc_info=error if new else None)

    def over(self, action: str, job: str = "") -> None:
        """Know that this works: the next trouble is a new one."""
        self._lasting.discard((action, job))


def _cause(error: Exception) -> str:
    """Return the kind of an error; of a database's failing also its words, which quote nobody."""
    kind = type(error).__name__
    if not isinstance(error, OperationalError):
        return kind
    return f"{kind}: {str(error.orig).partition(chr(10))[0]}"


def _extras(
    _logger: object, _name: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    record: logging.LogRecord | None = entry.get("_record")
    if record is not None:
        for field in _FIELDS:
            if field in record.__dict__:
                entry[field] = record.__dict__[field]
        if record.exc_text:
            entry["exception"] = record.exc_text
    return entry


def configure(level: str, form: str, token: str) -> None:
    """Send every log record to stderr, redacted, as console lines or JSON."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _extras,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Redaction(token))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
