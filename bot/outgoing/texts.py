"""Templates turned into messages: sandboxed, strict, escaped, checked before anyone gets them."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jinja2 import StrictUndefined, TemplateError, Undefined, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.loaders import FunctionLoader
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from bot.outgoing import dates, telegram_html
from bot.outgoing.catalogue import FALLBACK, Catalogue, MessagesError

LONGEST_SOURCE = 20_000
LONGEST_RAW = 32_768
DEEPEST = 40
NEVER_FALLS_BACK = ("steps/", "alerts/", "locked/", "shared/")
"""A text about a person's safety is never in another language than the chat."""
INCLUDED = ("locked/", "shared/")
_SYNTAX: tuple[type[nodes.Node], ...] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const),
    *(nodes.If, nodes.For, nodes.Include, nodes.Filter, nodes.Keyword),
    *(
        nodes.Getattr,
        nodes.Getitem,
        nodes.Not,
        nodes.And,
        nodes.Or,
        nodes.Compare,
        nodes.Operand,
    ),
)
# Directions that reach past the value into the words after it, and so could turn a phone number.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


class TextError(ValueError):
    """A text cannot be shown: which template, and why; never any of the values."""

    def __init__(self, template: str, reason: str) -> None:
        super().__init__(f"{template}: {reason}")
        self.template = template
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rendered:
    """One text: for Telegram, as the phone shows it, and which wording it was."""

    html: str
    text: str
    version: str


class _Environment(ImmutableSandboxedEnvironment):
    """Values are plain: a template reaches the keys of a mapping and nothing else of any object."""

    def getattr(self, obj: object, attribute: str) -> object:
        if isinstance(obj, LoopContext) and attribute in ("first", "last"):
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple) and argument == 0 and obj:
            return obj[0]
        return self.undefined(obj=obj, name=str(argument))

    def join_path(self, template: str, parent: str) -> str:
        return f"{parent.partition('/')[0]}/{template}"


class Texts:
    """All templates of a catalogue, ready to be filled; made once, as it reads every template."""

    def __init__(self, catalogue: Catalogue) -> None:
        """MessagesError when a template holds syntax that is not allowed."""
        self._catalogue = catalogue
        self._trees = {
            key: check_syntax(str(catalogue.files[key]), key, source, catalogue)
            for key, source in catalogue.sources.items()
        }
        self._included = {key: included_names(tree) for key, tree in self._trees.items()}
        self._versions = {key: self._digest(key) for key in self._trees}
        self._environments = {
            language: _environment(catalogue, language) for language in catalogue.languages
        }

    def render(self, language: str, template: str, values: Mapping[str, object]) -> Rendered:
        """The text in the language, which other texts than steps and alerts may lack: then English.

        TextError when it is missing, lacks a value, is empty, is longer than Telegram takes, or is
        not Telegram's HTML.
        """
        written_in = self.language_of(language, template)
        try:
            html = _tidy(
                self._environments[written_in]
                .get_template(f"{written_in}/{template}")
                .render(dict(values))
            )
            text = telegram_html.parse(html)
        except (TemplateError, LookupError, AttributeError, TypeError, ValueError) as fault:
            raise TextError(template, _without_values(fault)) from None
        if not text:
            raise TextError(template, "is empty")
        if len(text) > telegram_html.LONGEST:
            raise TextError(template, f"is {len(text)} long, more than {telegram_html.LONGEST}")
        if len(html.encode()) > LONGEST_RAW:
            raise TextError(template, f"is more than {LONGEST_RAW} bytes")
        return Rendered(html, text, self.version(written_in, template))

    def language_of(self, language: str, template: str) -> str:
        """The language in which a template will really be shown; TextError if there is none."""
        if f"{language}/{template}" in self._catalogue.sources:
            return language
        falls_back = not template.startswith(NEVER_FALLS_BACK)
        if falls_back and f"{FALLBACK}/{template}" in self._catalogue.sources:
            return FALLBACK
        raise TextError(template, f"is missing in {language}")

    def variables(self, language: str, template: str) -> frozenset[str]:
        """The names of the values that a template needs, those of what it includes among them."""
        keys = self._with_included(f"{language}/{template}")
        return frozenset().union(
            *(meta.find_undeclared_variables(self._trees[key]) for key in keys)
        )

    def included(self, language: str, template: str) -> frozenset[str]:
        """The names of the texts that a template includes."""
        return self._included[f"{language}/{template}"]

    def version(self, language: str, template: str) -> str:
        """Twelve hexadecimal digits that change with the wording, included texts' too."""
        return self._versions[f"{language}/{template}"]

    def _with_included(self, key: str) -> list[str]:
        language = key.partition("/")[0]
        return [key, *(f"{language}/{name}" for name in sorted(self._included[key]))]

    def _digest(self, key: str) -> str:
        joined = "".join(self._catalogue.sources[each] for each in self._with_included(key))
        return hashlib.sha256(joined.encode()).hexdigest()[:12]


def parse(source: str) -> nodes.Template:
    """The syntax tree of a template; TemplateError when it is not one."""
    return _SYNTAX_ONLY.parse(source)


def included_names(tree: nodes.Template) -> frozenset[str]:
    """The names that a tree includes."""
    return frozenset(
        str(found.template.value)
        for found in tree.find_all(nodes.Include)
        if isinstance(found.template, nodes.Const)
    )


def check_syntax(file: str, key: str, source: str, catalogue: Catalogue) -> nodes.Template:
    """The syntax tree of a template that keeps to the small language allowed; else MessagesError.

    No calls, arithmetic, ranges, assignments, macros or ``safe``; includes only of ``locked/`` and
    ``shared/`` texts of the same language, which include nothing themselves.
    """
    if len(source) > LONGEST_SOURCE:
        raise MessagesError(file, key, f"a template has at most {LONGEST_SOURCE} characters")
    try:
        tree = parse(source)
    except TemplateError as fault:
        raise MessagesError(file, key, str(fault)) from fault
    except RecursionError:
        raise MessagesError(file, key, "nested too deeply") from None
    if _too_deep(tree):
        raise MessagesError(file, key, "nested too deeply")
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _SYNTAX):
            raise MessagesError(file, key, f"{type(node).__name__} is not allowed in a text")
        if isinstance(node, nodes.Filter) and node.name not in _SYNTAX_ONLY.filters:
            raise MessagesError(file, key, f"the filter {node.name} is not allowed in a text")
        if isinstance(node, nodes.Include):
            _check_include(file, key, node, catalogue)
    _check_loops(file, key, tree, ())
    return tree


def _too_deep(tree: nodes.Template) -> bool:
    """Say whether a tree is deeper than any text needs; a walk that calls itself would not end."""
    level: list[nodes.Node] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return False
    return True


def _check_include(file: str, key: str, node: nodes.Include, catalogue: Catalogue) -> None:
    language, _, name = key.partition("/")
    if not isinstance(node.template, nodes.Const) or node.ignore_missing:
        raise MessagesError(file, key, "an include names one text, and it must exist")
    wanted = str(node.template.value)
    if not wanted.startswith(INCLUDED) or name.startswith(INCLUDED):
        raise MessagesError(file, key, f"only locked/ and shared/ texts are included, not {wanted}")
    if f"{language}/{wanted}" not in catalogue.sources:
        raise MessagesError(file, key, f"includes {wanted}, which is missing in {language}")


def _check_loops(file: str, key: str, node: nodes.Node, outer: tuple[str, ...]) -> None:
    for child in node.iter_child_nodes():
        if not isinstance(child, nodes.For):
            _check_loops(file, key, child, outer)
            continue
        over = child.iter
        named = isinstance(over, nodes.Name) and not outer
        inside = (
            isinstance(over, nodes.Getattr | nodes.Getitem)
            and isinstance(over.node, nodes.Name)
            and (not outer or over.node.name in outer)
        )
        # A loop inside a loop over the same list multiplies; one over a group's own items adds.
        if child.recursive or len(outer) > 1 or not (named or inside):
            raise MessagesError(file, key, "a loop goes over a value, or over a group of its loop")
        target = (child.target.name,) if isinstance(child.target, nodes.Name) else ()
        _check_loops(file, key, child, (*outer, *target))


def _environment(catalogue: Catalogue, language: str) -> _Environment:
    environment = _Environment(
        loader=FunctionLoader(catalogue.sources.get),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_plain,
        auto_reload=False,
        cache_size=-1,
    )
    environment.globals = {}
    environment.tests = {}
    environment.filters = _filters(language)
    return environment


def _filters(language: str) -> dict[str, Callable[..., object]]:
    return {
        "length": len,
        "listed": lambda parts, style="standard": dates.join(parts, language, style),
        "upper_first": lambda text: text[:1].upper() + text[1:],
        "plural": lambda count, **forms: forms.get(
            dates.plural_form(count, language), forms["other"]
        ),
    }


_SYNTAX_ONLY = _Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
_SYNTAX_ONLY.filters = _filters(FALLBACK)


def _plain(value: object) -> object:
    if isinstance(value, Markup | Undefined):
        return value
    if isinstance(value, str):
        return _DIRECTIONS.sub("", value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise SecurityError(f"a value that is shown is text or a whole number, not {type(value)}")


def _tidy(html: str) -> str:
    lines = "\n".join(line.rstrip() for line in html.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def _without_values(fault: Exception) -> str:
    # Jinja's own words name variables and keys; ours never quote a value.
    if isinstance(fault, TemplateError | telegram_html.HtmlError):
        return str(fault.args[0]) if fault.args else type(fault).__name__
    return type(fault).__name__
