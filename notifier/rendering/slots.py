"""Values left open while a skeleton is made: a template may print them; one that looks closer is told so."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from notifier.rendering.cleaning import clean_text

SLOT = re.compile("\ue000\\+([0-9]+)\ue001")
LONGEST = 1_000
"""Characters a value may have to go into a slot; so lengths need not be measured again for each message."""

_HARMLESS_FILTERS = frozenset(["default", "d", "e", "escape"])  # they hand on a value that is there as it is
_HARMLESS_TESTS = frozenset(["defined", "undefined", "none"])  # what is there is neither missing nor nothing
_LOOKING = (
    "str format eq ne lt le gt ge hash len iter getitem int float complex index round trunc floor"
    " ceil abs neg pos invert add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow"
)


class CannotPrepare(Exception):
    """This text cannot be made before its values are known."""


class Looked(CannotPrepare):
    """A template did more with a slot than print it: the value at this path decides what is said."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Slot:
    """Stands for a value that is there; prints as its mark. `steps` are the filters it will go through.

    Of a text that is not empty it is known that it counts as true; whatever else is asked raises `Looked`.
    """

    __slots__ = ("_among", "kind", "mark", "path", "steps")

    def __init__(
        self, path: str, kind: type, among: list["Slot"], steps: tuple[Callable[[Any], object], ...] = ()
    ) -> None:
        self.path, self.kind, self.steps, self._among = path, kind, steps, among
        self.mark = f"\ue000+{len(among)}\ue001"
        among.append(self)

    def through(self, step: Callable[[Any], object]) -> "Slot":
        """The value after one more filter; a link's filter is no matter of later, its hash counts links as names."""
        if self.path.startswith("links."):
            raise Looked(self.path)
        return Slot(self.path, object, self._among, (*self.steps, step))

    def __bool__(self) -> bool:
        if self.kind is not str:
            raise Looked(self.path)
        return True


def _look(slot: Slot, *_: object) -> Any:
    raise Looked(slot.path)


for _name in _LOOKING.split():
    setattr(Slot, f"__{_name}__", _look)


def later(filters: Mapping[str, Callable[..., object]]) -> dict[str, Callable[..., object]]:
    """The same filters, which wait for the value of a slot."""
    return {name: each if name in _HARMLESS_FILTERS else _waiting(each) for name, each in filters.items()}


def wary(functions: Mapping[str, Callable[..., object]]) -> dict[str, Callable[..., object]]:
    """The same tests, or the filter of loops, which look at what they are given and say so."""
    return {name: each if name in _HARMLESS_TESTS else _looking(each) for name, each in functions.items()}


def _waiting(function: Callable[..., object]) -> Callable[..., object]:
    at = 1 if hasattr(function, "jinja_pass_arg") else 0  # the environment comes first then

    @wraps(function)
    def call(*args: Any, **named: Any) -> object:
        if type(args[at]) is not Slot:
            return function(*args, **named)
        for other in (*args[at + 1 :], *named.values()):
            if type(other) is Slot:
                raise Looked(other.path)
        return args[at].through(lambda value: function(*args[:at], value, *args[at + 1 :], **named))

    return call


def _looking(function: Callable[..., object]) -> Callable[..., object]:
    @wraps(function)
    def call(value: Any, *args: Any) -> object:
        if type(value) is Slot:
            raise Looked(value.path)
        return function(value, *args)

    return call


def clean_around(text: str) -> str:
    """`clean_text` that leaves marks of slots as they are."""
    if "\ue000" not in text:
        return clean_text(text)
    pieces = SLOT.split(text)
    pieces[::2] = map(clean_text, pieces[::2])
    pieces[1::2] = (f"\ue000+{number}\ue001" for number in pieces[1::2])
    return "".join(pieces)


def fits(text: str) -> bool:
    """Whether a text goes into a slot unchanged, wherever that is: one line, no controls, no outer or double blanks."""
    if not 0 < len(text) <= LONGEST or "  " in text:
        return False
    if text.isprintable():
        return text[0] != " " != text[-1]
    return text == text.strip() and text == clean_text(text) and "\n" not in text and "\t" not in text


def room(texts: Iterable[str]) -> int:
    """Characters these marked texts have at most when filled."""
    return sum(len(text) + LONGEST * text.count("\ue000") for text in texts)
