"""A template with all a run knows of its messages: most of a text is made once, only the contact's values each time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from notifier.domain.channel import Channel, Content
from notifier.domain.errors import RenderError
from notifier.rendering.context import RenderContext, contact_values, input_values, template_values
from notifier.rendering.environment import Values
from notifier.rendering.render import MAX_SUBJECT_CHARACTERS, CompiledTemplate, content_hash
from notifier.rendering.skeleton import BodySkeleton, EmailSkeleton, Letter
from notifier.rendering.slots import CannotPrepare, Looked, Slot, room
from notifier.rendering.stamp import stamp_email, stamp_exercise

Skeleton = EmailSkeleton | BodySkeleton

_KEPT = 32  # skeletons; a text has one for each way through its conditions
_PRICE, _CREDIT = 8, 64  # making one is worth it once in so many messages, a few at once
_LARGEST = 80_000  # characters, far below every limit, whatever goes into the slots
_OPEN_KINDS = frozenset([str, int, float, Decimal, date, datetime, time])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a message says and its hash; an e-mail may still be the letter it was filled into."""

    said: Content | Letter = field(repr=False)
    hash: bytes


class Prepared:
    """One template for the messages of one run, step, channel and locale: they differ in what a contact brings.

    `open_inputs`: in their inputs too, as API sends do. `stamped`: all of it says that it is an exercise.

    A skeleton is made by rendering with slots for values. What a text looks at more closely, such as in a
    condition, decides which skeleton a message takes. Where a value does not fit its slot, or anything is
    wrong, the message is rendered as a whole: errors have one source.
    """

    def __init__(
        self, compiled: CompiledTemplate, channel: Channel, locale: str, *, open_inputs: bool, stamped: bool
    ) -> None:
        self._compiled, self._channel, self._locale = compiled, channel, locale
        self._open_inputs, self._stamped = open_inputs, stamped
        roots = {"contact", "greeting", "links", *(["inputs"] if open_inputs else [])}
        self._paths = tuple(path for path in compiled.reads(channel, locale) if path.partition(".")[0] in roots)
        self._ways = tuple(path.split(".") for path in self._paths)
        self._looked = set[str]()
        self._skeletons: dict[tuple[object, ...], Skeleton | None] = {}
        self._credit = _CREDIT

    def render(self, context: RenderContext) -> Rendered:
        """The content of one message, or `RenderError` as from `CompiledTemplate.render`."""
        own: dict[str, Any] = contact_values(context, self._locale, self._compiled.bank)
        if self._open_inputs:
            own["inputs"] = input_values(context, self._locale, self._compiled.template)
        values = [_value_at(own, way) for way in self._ways]
        skeleton = self._skeleton(values, context)
        filled = skeleton.fill(values) if skeleton is not None else None
        if isinstance(filled, Letter) and len(filled.subject) <= MAX_SUBJECT_CHARACTERS:
            return Rendered(said=filled, hash=filled.hash(context.links))
        if isinstance(filled, str):
            content: Content = self._compiled.finish(self._channel, self._locale, filled, context.purpose)
        else:
            content = self._compiled.render(self._channel, self._locale, context)
        if self._stamped:
            content = stamp_exercise(content, self._locale)
        return Rendered(said=content, hash=content_hash(content, context.links))

    def _skeleton(self, values: Sequence[object], context: RenderContext) -> Skeleton | None:
        """The one for these values, made where there is none yet; None = render as a whole."""
        key = self._key(values)
        self._credit = min(self._credit + 1, _CREDIT)
        if key not in self._skeletons:
            if self._credit < _PRICE:
                return None
            self._credit -= _PRICE
            made = self._make(values, context)
            if len(self._skeletons) >= _KEPT:
                self._skeletons.pop(next(iter(self._skeletons)))
            key = self._key(values)
            self._skeletons[key] = made
        return self._skeletons[key]

    def _key(self, values: Sequence[object]) -> tuple[object, ...]:
        """What decides: of an open value its kind, of the others the value as it would be printed."""
        return tuple(
            [
                value if value is None else type(value) if self._is_open(path, value) else _spelled(value)
                for path, value in zip(self._paths, values, strict=True)
            ]
        )

    def _is_open(self, path: str, value: object) -> bool:
        return type(value) in _OPEN_KINDS and value != "" and path not in self._looked

    def _make(self, values: Sequence[object], context: RenderContext) -> Skeleton | None:
        while True:
            slots: list[Slot] = []
            try:
                said = self._compiled.say(self._channel, self._locale, self._with_slots(values, context, slots))
                if isinstance(said, str):
                    return BodySkeleton(said, slots, self._paths) if room([said]) <= _LARGEST else None
                if room([said.subject, said.html, said.text]) > _LARGEST:
                    return None
                marked = stamp_email(said, self._locale) if self._stamped else said
                return EmailSkeleton(marked, slots, self._paths)
            except Looked as looked:
                self._looked.add(looked.path)
            except (CannotPrepare, RenderError):
                return None

    def _with_slots(self, values: Sequence[object], context: RenderContext, slots: list[Slot]) -> dict[str, Any]:
        """The run's values; of the message's only what the template is known to read, as slots where open."""
        everything = template_values(context, self._locale, self._compiled.template, self._compiled.bank)
        del everything["greeting"]
        everything["contact"] = Values("contact", {"attributes": Values("contact.attributes", {})})
        for root in ("links", *(["inputs"] if self._open_inputs else [])):
            everything[root] = Values(root, {})
        for path, way, value in zip(self._paths, self._ways, values, strict=True):
            if value is not None:
                place: dict[str, Any] = everything
                for step in way[:-1]:
                    place = place[step]
                is_open = self._is_open(path, value)
                place[way[-1]] = Slot(path, type(value), slots) if is_open else value
        return everything


def _value_at(values: Mapping[str, Any], way: Sequence[str]) -> Any:
    found: Any = values
    for step in way:
        found = found.get(step)
    return found


def _spelled(value: object) -> tuple[type, str]:
    return type(value), repr(value)  # equal values may print differently: 1.0 and 1.00
