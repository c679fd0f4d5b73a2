"""Plain data read key by key, so that whatever is wrong is named by file, key and reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn


class ProtocolError(ValueError):
    """A protocol cannot be used; says in which file, at which key, and why."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        """Keep the three apart and read as ``file: key: reason``."""
        super().__init__(f"{file}: {key}: {reason}")
        self.file = file
        self.key = key
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a protocol file; ``path`` is how errors name it, "" for the file itself."""

    file: str
    path: str
    data: Mapping[str, object]

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Raise the error of ``key`` in this table."""
        raise ProtocolError(self.file, f"{self.path}.{key}" if self.path else key, reason)

    def only(self, known: frozenset[str]) -> None:
        """Hold no key but the ``known`` ones, or raise: a mistyped key is not ignored."""
        for key in self.data:
            if key not in known:
                self.refuse(key, f"is not known; known are {', '.join(sorted(known))}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        """The text of a required key, matching ``pattern``."""
        value = self._required(key)
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, f"must be a text, not {value!r}")
        self._match(key, value, pattern)
        return value

    def texts(self, key: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        """The list of different texts of a key; empty when it is absent."""
        value = self.data.get(key, [])
        if not isinstance(value, list | tuple):
            self.refuse(key, f"must be a list, not {value!r}")
        for item in value:
            if not isinstance(item, str) or not item.strip():
                self.refuse(key, f"must hold texts, not {item!r}")
            self._match(key, item, pattern)
        if len(set(value)) < len(value):
            self.refuse(key, "says the same thing twice")
        return tuple(value)

    def some_texts(self, key: str, pattern: re.Pattern[str] | None = None) -> tuple[str, ...]:
        """The list of different texts of a required key, one at least."""
        self._required(key)
        found = self.texts(key, pattern)
        if not found:
            self.refuse(key, "must not be empty")
        return found

    def count(self, key: str) -> int:
        """The whole number of a required key, 1 at least."""
        value = self._required(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.refuse(key, f"must be a whole number from 1 on, not {value!r}")
        return value

    def flag(self, key: str) -> bool:
        """The true or false of a key; false when it is absent."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            self.refuse(key, f"must be true or false, not {value!r}")
        return value

    def table(self, key: str) -> "Table":
        """The table of a required key."""
        return self._table(key, self._required(key), key)

    def tables(self, key: str) -> tuple["Table", ...]:
        """The tables of a required list, one at least; each is named by its id once it has one."""
        value = self._required(key)
        if not isinstance(value, list | tuple) or not value:
            self.refuse(key, "must be a list of tables, one at least")
        found = []
        for number, item in enumerate(value, start=1):
            name = item.get("id") if isinstance(item, Mapping) else None
            path = f"{key}.{name}" if isinstance(name, str) and name else f"{key}.#{number}"
            found.append(self._table(key, item, path))
        return tuple(found)

    def _table(self, key: str, value: object, name: str) -> "Table":
        if not isinstance(value, Mapping):
            self.refuse(key, f"must be a table, not {value!r}")
        return Table(self.file, f"{self.path}.{name}" if self.path else name, value)

    def _required(self, key: str) -> object:
        if key not in self.data:
            self.refuse(key, "is missing")
        return self.data[key]

    def _match(self, key: str, value: str, pattern: re.Pattern[str] | None) -> None:
        if pattern is not None and not pattern.fullmatch(value):
            self.refuse(key, f"{value!r} does not look like {pattern.pattern}")
