"""What is written in ``messages/``: protocols, labels and templates, read and checked once."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bot.domain import protocol_files
from bot.domain.protocol import Protocol

SUFFIX = ".html.j2"
FALLBACK = "en"
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})?")
_DATA = re.compile(rf"protocols/[a-z0-9-]+\.toml|{_LANGUAGE.pattern}/labels\.toml")
_TEMPLATE = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+)+")


class MessagesError(ValueError):
    """Something in the messages is missing or malformed: which file, which key, and why."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}")
        self.file = file
        self.key = key
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every protocol, label and template of all languages; later folders already laid over."""

    languages: tuple[str, ...]
    protocols: Mapping[str, Protocol]
    protocol_data: Mapping[str, Mapping[str, object]]
    labels: Mapping[str, Mapping[str, object]]
    sources: Mapping[str, str]
    """Template source by language and name, ``en/steps/confirm``."""
    files: Mapping[str, Path]
    """Where each template, ``en/labels`` and ``protocols/NAME`` was read."""
    overlaid: frozenset[str]
    """The keys of ``files`` that a later folder replaced or added."""

    @property
    def every_protocol(self) -> tuple[Protocol, ...]:
        """Every protocol, and each variant as one of its own."""
        return tuple(each for protocol in self.protocols.values() for each in protocol.every)

    @property
    def whole(self) -> tuple[str, ...]:
        """The languages in which nothing is missing that English has; only these are offered."""
        return tuple(
            language
            for language in self.languages
            if self._has(FALLBACK) <= self._has(language)
            and language in self.labels[language].get("languages", ())  # type: ignore[operator]
        )

    def _has(self, language: str) -> set[str]:
        texts = {key.partition("/")[2] for key in self.sources if key.startswith(f"{language}/")}
        for section, entries in self.labels[language].items():
            if section not in ("words", "day_words", "languages") and isinstance(entries, Mapping):
                texts |= {f"{section}.{key}" for key in entries}
        return texts

    def label(self, language: str, section: str, key: str, field: str = "name") -> str:
        """One label, or one ``field`` of a label that has several; MessagesError if missing."""
        entry = self._section(language, section).get(key)
        if isinstance(entry, Mapping):
            entry = entry.get(field)
        if not isinstance(entry, str) or not entry.strip():
            raise MessagesError(f"{language}/labels.toml", f"{section}.{key}", "no such label")
        return entry

    def keys(self, language: str, section: str) -> tuple[str, ...]:
        """The keys of one section of labels, in the order of the file."""
        return tuple(self._section(language, section))

    def words(self, language: str, name: str) -> tuple[str, ...]:
        """A list of words to compare with what a person typed: ``stop`` or ``emergency``."""
        return _words(language, f"words.{name}", self._section(language, "words").get(name))

    def limit_words(self, language: str) -> Mapping[str, tuple[str, ...]]:
        """For each limit the everyday words by which a patient may ask about it."""
        limits = self._section(language, "limits")
        return {
            key: _words(
                language,
                f"limits.{key}.words",
                entry.get("words") if isinstance(entry, Mapping) else None,
            )
            for key, entry in limits.items()
        }

    def allowed(self, language: str, limit: str) -> str | None:
        """What is allowed beside a limit, as a sentence; nothing where there is nothing to say."""
        entry = self._section(language, "limits").get(limit)
        found = entry.get("allowed") if isinstance(entry, Mapping) else None
        return found if isinstance(found, str) else None

    def _section(self, language: str, section: str) -> Mapping[str, object]:
        found = self.labels.get(language, {}).get(section)
        if not isinstance(found, Mapping):
            raise MessagesError(f"{language}/labels.toml", section, "no such section")
        return found


def load(folders: Sequence[Path]) -> Catalogue:
    """The shipped folder with later ones laid over it, complete; MessagesError names what is wrong.

    Templates and protocols are laid over file by file, labels key by key; lists of words only grow,
    so that a clinic's own file cannot take an emergency word away.
    """
    sources: dict[str, str] = {}
    files: dict[str, Path] = {}
    labels: dict[str, dict[str, object]] = {}
    data: dict[str, Mapping[str, object]] = {}
    overlaid: set[str] = set()
    for place, folder in enumerate(folders):
        if not folder.is_dir():
            raise MessagesError(str(folder), "folder", "is not there")
        for key, path in _files(folder):
            if path.name.endswith(SUFFIX):
                sources[key] = _read(path)
            elif key.startswith("protocols/"):
                data[key.removeprefix("protocols/")] = _toml(path)
            else:
                language = key.partition("/")[0]
                labels[language] = _laid_over(labels.get(language, {}), _toml(path))
            files[key] = path
            if place:
                overlaid.add(key)
    catalogue = Catalogue(
        languages=tuple(sorted(labels, key=lambda language: (language != FALLBACK, language))),
        protocols=MappingProxyType(
            {
                name: protocol_files.parse(name, each, str(files[f"protocols/{name}"]))
                for name, each in sorted(data.items())
            }
        ),
        protocol_data=MappingProxyType(data),
        labels=MappingProxyType(labels),
        sources=MappingProxyType(sources),
        files=MappingProxyType(files),
        overlaid=frozenset(overlaid),
    )
    _require(catalogue)
    return catalogue


def templates_of(protocol: Protocol) -> tuple[str, ...]:
    """The templates that a protocol needs in every language, each once."""
    names = [name for step in protocol.steps for name in (step.template, step.warning_template)]
    names.append(f"patient/expected/{protocol.full_name}")
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _require(catalogue: Catalogue) -> None:
    if FALLBACK not in catalogue.languages:
        raise MessagesError(f"{FALLBACK}/labels.toml", "labels", "is not there")
    for key in catalogue.sources:
        if key.partition("/")[0] not in catalogue.languages:
            raise MessagesError(str(catalogue.files[key]), key, "its language has no labels.toml")
    for language in catalogue.languages:
        catalogue.limit_words(language)
        for name in ("stop", "emergency"):
            catalogue.words(language, name)
        for protocol in catalogue.every_protocol:
            catalogue.label(language, "treatments", protocol.full_name)
            catalogue.label(language, "treatments", protocol.full_name, "neutral")
            for variant in protocol.variants:
                catalogue.label(language, "variants", variant)
            for limit in protocol.limits:
                catalogue.label(language, "limits", limit.id)
            for step in protocol.steps:
                for limit_id in step.until_visit:
                    catalogue.label(language, "limits", limit_id)
                for button in step.buttons:
                    catalogue.label(language, "buttons", button)
                for kind in step.kinds:
                    catalogue.label(language, "kinds", kind.value)
            for name in templates_of(protocol):
                if f"{language}/{name}" not in catalogue.sources:
                    file = str(catalogue.files[f"protocols/{protocol.name}"])
                    raise MessagesError(file, f"{language}/{name}", "this text is missing")


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        inside = path.relative_to(folder).as_posix()
        first = inside.partition("/")[0]
        if inside.endswith(SUFFIX):
            name = inside.removesuffix(SUFFIX)
            if not _LANGUAGE.fullmatch(first) or not _TEMPLATE.fullmatch(name):
                raise MessagesError(str(path), "name", "use small letters, digits, hyphen, _")
            yield name, path
        elif _DATA.fullmatch(inside):
            yield inside.removesuffix(".toml"), path
        elif path.suffix != ".md":
            raise MessagesError(str(path), "name", f"neither a protocol, labels nor *{SUFFIX}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise MessagesError(str(path), "encoding", "is not UTF-8") from fault


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as fault:
        raise MessagesError(str(path), "syntax", str(fault)) from fault


def _laid_over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _laid_over(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *(word for word in value if word not in old)]
        else:
            merged[key] = value
    return merged


def _words(language: str, key: str, found: object) -> tuple[str, ...]:
    if (
        not isinstance(found, list)
        or not found
        or not all(isinstance(word, str) and word == word.strip().lower() != "" for word in found)
    ):
        raise MessagesError(
            f"{language}/labels.toml", key, "needs a list of words in small letters"
        )
    return tuple(found)
