"""The sandbox a template runs in: plain values, listed filters, no way out."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from jinja2 import DictLoader, StrictUndefined, Undefined, UndefinedError, nodes
from jinja2.environment import TemplateModule
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from notifier.domain.errors import RenderError
from notifier.domain.template import Bank
from notifier.rendering.cleaning import clean_text
from notifier.rendering.filters import TEXT_LIMIT, allowed_filters, allowed_tests, each
from notifier.rendering.slots import CannotPrepare, Looked, Slot, clean_around, later, room, wary

LOOP_FACTS = frozenset({"index", "index0", "first", "last", "length", "revindex"})
_DATE_FACTS = frozenset({"year", "month", "day", "hour", "minute"})

printed: ContextVar[list[str] | None] = ContextVar("printed", default=None)
"""Where the values an HTML file prints are collected; None = they are printed in place."""


class Missing(StrictUndefined):
    """A value that is not there: may be asked for with `is defined`, nothing else."""


class Absent(Missing):
    """A value declared optional that is not there: false in a condition, still never printed."""

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return isinstance(other, Absent)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not isinstance(other, Absent)

    __hash__ = None  # type: ignore[assignment]


class Values(dict[str, Any]):
    """A part of the context; knows its path so that an error can name the variable."""

    __slots__ = ("path",)

    def __init__(self, path: str, values: Mapping[str, object]) -> None:
        super().__init__(values)
        self.path = path


class Fixed(str):
    """Text that is the same in every message of a template version: the bank's own."""

    __slots__ = ()


class Said(str):
    """What a macro or `super()` of a text file said; printed already, so marks of slots in it are ours."""

    __slots__ = ()


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """One template version in one locale."""

    def __init__(self, sources: Mapping[str, str], *, locale: str, bank: Bank, optional: frozenset[str]) -> None:
        super().__init__(
            loader=DictLoader(sources),
            undefined=Missing,
            autoescape=_is_html,
            finalize=print_value,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.optional = optional
        self.globals.clear()
        self.globals["bank"] = bank_values(bank, locale)
        self.filters = dict[str, Any](later(allowed_filters(locale, bank)) | wary({"each": each}))
        self.tests = dict[str, Any](wary(allowed_tests()))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Keys of our own values, facts of loops and dates, imported macros; never an attribute of an object."""
        if isinstance(obj, Values):
            value = obj.get(attribute)
            return value if value is not None else self._missing(f"{obj.path}.{attribute}")
        if isinstance(obj, Undefined):
            raise UndefinedError(obj._undefined_message)
        if isinstance(obj, Slot):
            raise Looked(obj.path)
        if _may_read(obj, attribute):
            return getattr(obj, attribute)
        return Missing(hint=f"{attribute} is not set")

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The same for `x["name"]`; numbers count into lists."""
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, list | tuple) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        if isinstance(obj, Slot):
            raise Looked(obj.path)
        return Missing(hint=f"item {argument} is not set")

    def is_safe_callable(self, obj: Any) -> bool:
        """Only macros and `super()`."""
        return isinstance(obj, Macro | BlockReference)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja
        """A macro's text in a text file knows that it was printed once."""
        said = super().call(__context, __obj, *args, **kwargs)
        return Said(said) if type(said) is str else said

    def _missing(self, path: str) -> Missing:
        kind = Absent if path in self.optional or path.startswith("survey.") else Missing
        return kind(hint=f"{path} is not set", name=path)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        # Every loop passes the filter that bounds it; the name is not open to templates.
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "each", [], [], None, None, lineno=loop.lineno)
        return tree

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        # A layout is compiled while a mail renders; its literals must not be taken for that mail's values.
        token = printed.set(None)
        try:
            return super()._generate(source, name, filename, defer_init)
        finally:
            printed.reset(token)


def print_value(value: Any) -> Any:
    """What an expression prints: text and numbers, cleaned; anything else is an error, `None` above all."""
    kind = type(value)
    if kind is Markup or kind is Fixed:
        return value
    if kind is Slot:
        text = value.mark
    else:
        if kind is not str:
            value = _as_text(value)
        if len(value) > TEXT_LIMIT:
            raise RenderError(f"a text is longer than {TEXT_LIMIT:,} characters")
        text = clean_text(value) if kind is not Said else _said_again(value)
    collected = printed.get()
    if collected is None:
        return text
    collected.append(escape(text))
    number = len(collected) - 1
    return _MARKS[number] if number < len(_MARKS) else mark(number)


def mark(number: int) -> Markup:
    """Stands in the HTML for the value printed as number `number`, counted from 0."""
    return Markup(f"\ue000{number}\ue001")  # noqa: S704 - digits between two marks


_MARKS = tuple(mark(number) for number in range(256))


def bank_values(bank: Bank, locale: str) -> Values:
    """`bank.*` in one locale."""
    default = bank.default_locale
    texts = {
        "name": bank.name.get(locale, default),
        "short_name": bank.short_name.get(locale, default),
        "hotline": bank.hotline,
        "website": bank.website,
        "app_name": bank.app_name.get(locale, default),
        "footer": bank.footer.get(locale, default),
        "accent": bank.accent,
        "logo": bank.logo,
    }
    return Values("bank", {key: Fixed(clean_text(text)) for key, text in texts.items()})


def _said_again(text: str) -> str:
    if "\ue000" in text and room([text]) > TEXT_LIMIT:
        raise CannotPrepare
    return clean_around(text)


def _as_text(value: object) -> str:
    if isinstance(value, Undefined):
        raise UndefinedError(value._undefined_message)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | date | datetime | time):
        shown = "nothing" if value is None else f"a value of type {type(value).__name__}"
        raise RenderError(f"{shown} cannot be printed")
    return str(value)


def _may_read(obj: object, attribute: str) -> bool:
    if isinstance(obj, LoopContext):
        return attribute in LOOP_FACTS
    if isinstance(obj, TemplateModule):
        return not attribute.startswith("_") and isinstance(obj.__dict__.get(attribute), Macro)
    return isinstance(obj, date | time) and attribute in _DATE_FACTS and hasattr(obj, attribute)


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")
