"""The parameters of one Bot API call, however they travelled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.demo.files import Upload
from bot.demo.refusals import Json, bad

_STRUCTURED = frozenset(
    {
        "reply_markup", "entities", "caption_entities", "reply_parameters", "link_preview_options",
        "allowed_updates", "commands", "scope", "menu_button", "media", "message_ids",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Params:
    """Values as text or decoded JSON, and the uploaded files by field name."""

    values: Mapping[str, object]
    files: Mapping[str, Upload] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The value as text, "" when it is missing."""
        value = self.values.get(name)
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def integer(self, name: str, otherwise: int = 0) -> int:
        """The value as a number, or the other one when it is missing or none."""
        try:
            return int(self.text(name))
        except ValueError:
            return otherwise

    def truth(self, name: str) -> bool:
        """Whether the value says yes."""
        return self.text(name).lower() in ("true", "1", "yes", "t", "y")

    def structure(self, name: str) -> object:
        """The value as decoded JSON, None when it is missing; JSON that cannot be read is
        refused.
        """
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            decoded = json.loads(value)
            json.dumps(decoded, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise bad(f"can't parse {name} JSON object") from None
        return decoded

    def entries(self, name: str) -> list[Json]:
        """The value as a list of objects, empty when it is missing."""
        value = self.structure(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise bad(f"expected an Array of objects in {name}")
        return value

    def mapping(self, name: str) -> Json:
        """The value as an object, empty when it is missing."""
        value = self.structure(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise bad(f"object expected as {name}")
        return value

    def names(self, name: str) -> list[str] | None:
        """The value as a list of texts, None when it is missing."""
        value = self.structure(name)
        return [str(entry) for entry in value] if isinstance(value, list) else None

    def logged(self) -> Json:
        """The values for the call log, JSON texts decoded."""
        shown: Json = {}
        for name, value in self.values.items():
            if isinstance(value, str) and name in _STRUCTURED:
                try:
                    shown[name] = json.loads(value)
                    continue
                except (ValueError, RecursionError):
                    pass
            shown[name] = value
        return shown

    def logged_files(self) -> tuple[Json, ...]:
        """The files for the call log: names and sizes, no bytes."""
        return tuple(
            {"field": name, "name": file.name, "mime": file.mime, "size": len(file.data)}
            for name, file in self.files.items()
        )
