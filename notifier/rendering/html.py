"""Style sheets moved into the elements, once per shape of a mail instead of once per message."""

import re
from dataclasses import dataclass

import css_inline

from notifier.rendering.slots import CannotPrepare

_MARK = re.compile("\ue000([0-9]+)\ue001")
_KEPT_SHAPES = 64

# Without `load_remote_stylesheets=False` it would read URLs and local files named by the HTML.
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Inlined HTML cut at its marks: `slots` says which piece takes which value."""

    pieces: tuple[str, ...]
    slots: tuple[tuple[int, int], ...]


class HtmlShapes:
    """Inlines the CSS of rendered HTML whose values are still marks, `U+E000 number U+E001`.

    Two messages that took the same branches have the same shape, so the work is done once for
    them. Where inlining loses, doubles or touches a mark, the finished HTML is inlined instead.
    """

    def __init__(self) -> None:
        self._plans: dict[str, _Plan | None] = {}

    def fill(self, shape: str, values: list[str]) -> str:
        """The inlined HTML with the values (already escaped) in place; `CannotPrepare` where one is a slot inlining would touch."""
        if shape in self._plans:
            plan = self._plans[shape]
        else:
            if len(self._plans) >= _KEPT_SHAPES:
                self._plans.clear()
            plan = self._plans[shape] = _plan(shape, len(values))
        if plan is None:
            if any("\ue000" in value for value in values):
                raise CannotPrepare
            return inline_css(_MARK.sub(lambda mark: values[int(mark[1])], shape))
        pieces = list(plan.pieces)
        for position, number in plan.slots:
            pieces[position] = values[number]
        return "".join(pieces)


def inline_css(html: str) -> str:
    """The HTML with its style sheets inlined; media queries stay; reads no file and no network."""
    return str(_INLINER.inline(html))


def _plan(shape: str, count: int) -> _Plan | None:
    pieces = _MARK.split(inline_css(shape))
    numbers = [int(number) for number in pieces[1::2]]
    if sorted(numbers) != sorted(int(number) for number in _MARK.findall(shape)) or not set(numbers) <= {*range(count)}:
        return None
    slots = tuple((2 * index + 1, number) for index, number in enumerate(numbers))
    return _Plan(tuple(pieces), slots)
