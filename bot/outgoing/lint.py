"""Everything that is checked of the messages before a clinic may use them."""

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.protocol import Kind, Protocol, Step
from bot.outgoing import vocabulary, wording
from bot.outgoing.catalogue import SUFFIX, Catalogue, MessagesError
from bot.outgoing.texts import INCLUDED, Rendered, TextError, Texts

LONGEST_BUTTON = 26
FOR_PATIENTS = ("steps/", "patient/", "errors/")
"""Texts that a patient may read: short sentences and plain words."""

LOCKED = frozenset(
    {
        *("patient/consent", "patient/emergency_numbers", "patient/urgent"),
        *("patient/urgent_closed", "patient/emergency", "patient/seek_care", "patient/pick"),
        *("patient/pick_pain", "patient/pick_sight", "patient/pick_fever", "patient/reached_help"),
        *(
            "patient/pick_milder",
            "patient/note_for_doctor",
            "patient/no_reply_yet",
            "patient/nudge",
        ),
        *(
            "patient/not_saved",
            "patient/stop_ask",
            "patient/stopped",
            "patient/told_clinic",
            "patient/erase",
            "patient/erase_again",
            "patient/erased",
        ),
    }
)
"""Beside everything in ``locked/``: wording that a clinic's own folder may not replace."""

_END = re.compile(r"\b(\w+)\.ends\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to put right: in which file, at which key, and what."""

    file: str
    key: str
    reason: str


def check(catalogue: Catalogue, only: str | None = None) -> list[Finding]:
    """All findings, in the order of files; an empty list means that the messages may be used.

    With ``only``, a text's key such as ``en/patient/hello``: what is said of that text alone.
    """
    try:
        texts = Texts(catalogue)
    except MessagesError as fault:
        return [Finding(fault.file, fault.key, fault.reason)]
    found: list[Finding] = []
    for language in catalogue.languages:
        found += _missing(catalogue, language)
        found += _labels(catalogue, language)
        found += _asked_labels(catalogue, language)
    for protocol in catalogue.every_protocol:
        found += _required_parts(catalogue, texts, protocol)
    for key in catalogue.sources if only is None else (only,):
        found += _template(catalogue, texts, key)
    if only is not None:
        found = [each for each in found if each.key == only]
    return sorted(set(found), key=lambda each: (each.file, each.key, each.reason))


def samples(catalogue: Catalogue, language: str, template: str) -> dict[str, object]:
    """Plain values for a template; for a protocol's own text its real limits, all of them on."""
    values = {name: each.plain for name, each in vocabulary.VARIABLES.items()}
    for protocol in catalogue.every_protocol:
        if template.startswith(f"steps/{protocol.name}/"):
            values |= _limits_of(catalogue, language, protocol, template)
    return values


def _limits_of(
    catalogue: Catalogue, language: str, protocol: Protocol, template: str
) -> dict[str, object]:
    groups: dict[object, list[str]] = {}
    for limit in protocol.limits:
        groups.setdefault(limit.until, []).append(catalogue.label(language, "limits", limit.id))
    # The widest date there is, so that what fits here fits always.
    left: dict[str, object] = {"kept": False, "days_left": 13, "hours_left": 23}
    shown = [
        {"ends": "Wed 24 September, 15:40", "items": items, **left}
        for items in groups.values()
        if items
    ]
    lifted = {
        limit
        for step in protocol.steps
        if step.template == template
        for limit in protocol.lifted_by(step)
    }
    if not lifted:
        return {"limits": shown, "t24": "Wed 24 September, 15:40"}
    after = 1 + max([*groups].index(limit.until) for limit in protocol.limits if limit.id in lifted)
    ended = (each.id for each in protocol.limits if each.id in lifted)
    return {
        "ended": [catalogue.label(language, "limits", each) for each in ended],
        "still": shown[after:],
        "limits": shown,
    }


def _missing(catalogue: Catalogue, language: str) -> Iterator[Finding]:
    for name in vocabulary.TEXTS:
        if f"{language}/{name}" not in catalogue.sources:
            yield Finding(f"{language}/{name}{SUFFIX}", name, "this text is missing")


def _labels(catalogue: Catalogue, language: str) -> Iterator[Finding]:
    file = str(catalogue.files[f"{language}/labels"])
    for section, key, label in _each_label(catalogue.labels[language]):
        if section == "buttons" and len(label) > LONGEST_BUTTON:
            yield Finding(file, f"{section}.{key}", f"longer than {LONGEST_BUTTON} characters")
        if not label.strip() or label != label.strip() or "\n" in label:
            yield Finding(file, f"{section}.{key}", "is one line without spaces around it")
        if _is_english(language):
            for reason in wording.banned(label):
                yield Finding(file, f"{section}.{key}", reason)


def _asked_labels(catalogue: Catalogue, language: str) -> Iterator[Finding]:
    file = str(catalogue.files[f"{language}/labels"])
    labels = catalogue.labels[language]
    for section, keys in vocabulary.LABELS.items():
        known = labels.get(section)
        for key in keys:
            if not isinstance(known, Mapping) or key not in known:
                yield Finding(file, f"{section}.{key}", "this label is missing")
    for key, wanted in vocabulary.FORMS.items():
        try:
            form = catalogue.label(language, "forms", key)
            named = [name for _, name, _, _ in string.Formatter().parse(form) if name is not None]
        except ValueError as fault:
            yield Finding(file, f"forms.{key}", str(fault))
            continue
        if sorted(named) != sorted(wanted):
            yield Finding(file, f"forms.{key}", f"needs exactly {{{'}, {'.join(wanted)}}}")
    for name in vocabulary.WORDS:
        try:
            catalogue.words(language, name)
        except MessagesError as fault:
            yield Finding(file, fault.key, fault.reason)
    for word, days in _each_day_word(labels):
        if not days.removeprefix("-").isdigit():
            yield Finding(file, f"day_words.{word}", "is a number of days from now")


def _each_day_word(labels: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    return ((key, label) for section, key, label in _each_label(labels) if section == "day_words")


def _each_label(labels: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for section, entries in labels.items():
        if not isinstance(entries, Mapping) or section == "words":
            continue
        for key, entry in entries.items():
            fields = entry.values() if isinstance(entry, Mapping) else (entry,)
            for label in fields:
                if isinstance(label, str):
                    yield section, str(key), label


def _required_parts(catalogue: Catalogue, texts: Texts, protocol: Protocol) -> Iterator[Finding]:
    for language in catalogue.languages:
        for step in protocol.steps:
            for name, wanted in _parts(step):
                # A protocol may have a longer list of its own: locked/check_signs_filler.
                if not any(each.startswith(wanted) for each in texts.included(language, name)):
                    yield _finding(catalogue, f"{language}/{name}", f"must include {wanted}")


def _parts(step: Step) -> Iterator[tuple[str, str]]:
    if Kind.CARD in step.kinds:
        yield step.template, "locked/pain_relief"
    if step.warning_template is not None:
        yield step.warning_template, "locked/warning_signs"
    if step.safety and Kind.CHECK in step.kinds:
        yield step.template, "locked/check_signs"


def _locked(catalogue: Catalogue) -> set[str]:
    steps = (step for protocol in catalogue.every_protocol for step in protocol.steps)
    return {*LOCKED, *(step.warning_template for step in steps if step.warning_template)}


def _template(catalogue: Catalogue, texts: Texts, key: str) -> Iterator[Finding]:
    language, _, name = key.partition("/")
    if key in catalogue.overlaid and (name.startswith("locked/") or name in _locked(catalogue)):
        yield _finding(catalogue, key, "this wording is locked")
    if name.startswith(INCLUDED):
        return
    for limit in _ends_by_the_clock_alone(catalogue.sources[key]):
        yield _finding(catalogue, key, f"says {limit}.ends and never looks at {limit}.kept")
    text = vocabulary.text_of(name)
    if text is None:
        yield _finding(catalogue, key, "nothing asks for this text")
        return
    needed = texts.variables(language, name)
    unknown = sorted(needed - vocabulary.given(name, text))
    if unknown:
        yield _finding(catalogue, key, f"is not given {', '.join(unknown)}")
        return
    for values in _tries(samples(catalogue, language, name), needed - set(text.always)):
        try:
            rendered = texts.render(language, name, values)
        except TextError as fault:
            yield _finding(catalogue, key, fault.reason)
            continue
        yield from _rendered(catalogue, key, text, rendered, values)
    yield from _hostile(catalogue, texts, key, needed)


def _ends_by_the_clock_alone(source: str) -> list[str]:
    """Return what a text names an end of without asking whether it is kept until the skin is calm.

    No clock ends what is kept, so the end by the plan would be untrue.
    """
    names = sorted(set(_END.findall(source)))
    return [name for name in names if not re.search(rf"\b{name}\.kept\b", source)]


def _tries(plain: Mapping[str, object], needed: frozenset[str]) -> Iterator[Mapping[str, object]]:
    table = vocabulary.VARIABLES
    yield plain
    for name in sorted(needed):
        for other in table[name].others:
            yield {**plain, name: other}
    yield {
        **plain,
        **{name: table[name].others[-1] for name in needed if table[name].others},
    }


def _rendered(
    catalogue: Catalogue,
    key: str,
    text: vocabulary.Text,
    rendered: Rendered,
    values: Mapping[str, object],
) -> Iterator[Finding]:
    language, _, name = key.partition("/")
    longest = _longest(catalogue, name, text)
    repeated = bool(values["maybe_repeat"]) or bool(values["other_zone"])
    if len(rendered.text) > longest and not repeated:
        yield _finding(catalogue, key, f"is {len(rendered.text)} long, more than {longest}")
    heads = text.unasked and not values["below"]
    if heads and not rendered.text.startswith(f"{values['sender']}: "):
        yield _finding(catalogue, key, "an unasked message begins with {{ sender }}: ")
    if not _is_english(language):
        return
    source = catalogue.sources[key]
    reasons = wording.banned(rendered.text) + wording.medicines(source)
    if text.unasked:
        reasons += wording.relative(source, rendered.text)
    if heads:
        reasons += wording.lock_screen(rendered.text)
    if name.startswith(FOR_PATIENTS):
        reasons += wording.length(rendered.text) + wording.hard(rendered.text)
    for reason in reasons:
        yield _finding(catalogue, key, reason)


def _hostile(
    catalogue: Catalogue, texts: Texts, key: str, needed: frozenset[str]
) -> Iterator[Finding]:
    language, _, name = key.partition("/")
    hostile = {known: each.hostile for known, each in vocabulary.VARIABLES.items()}
    tame = {known: _tamed(value) for known, value in hostile.items()}
    try:
        with_hostile = texts.render(language, name, hostile)
        with_tame = texts.render(language, name, tame)
    except TextError as fault:
        yield _finding(catalogue, key, f"with hostile values: {fault.reason}")
        return
    if needed and with_hostile.html.count("<") != with_tame.html.count("<"):
        yield _finding(catalogue, key, "a value reaches Telegram as a tag")


def _tamed(value: object) -> object:
    if isinstance(value, str):
        return "x"
    if isinstance(value, list):
        return [_tamed(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _tamed(each) for key, each in value.items()}
    return value


def _longest(catalogue: Catalogue, name: str, text: vocabulary.Text) -> int:
    for protocol in catalogue.every_protocol:
        for step in protocol.steps:
            if name == step.warning_template or (name == step.template and Kind.CARD in step.kinds):
                return vocabulary.LONGEST_CARD
    return text.longest


def _finding(catalogue: Catalogue, key: str, reason: str) -> Finding:
    return Finding(str(catalogue.files[key]), key, reason)


def _is_english(language: str) -> bool:
    return language.partition("-")[0] == "en"
