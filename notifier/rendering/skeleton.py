"""A text with only the contact's values left open: cut at its slots once, filled for each message."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

from jinja2 import TemplateError
from markupsafe import escape

from notifier.domain.channel import EmailContent
from notifier.domain.errors import RenderError
from notifier.rendering.environment import print_value
from notifier.rendering.mime import PreparedPart
from notifier.rendering.render import link_mark
from notifier.rendering.slots import SLOT, CannotPrepare, Looked, Slot, fits

FAILURES = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a template or a filter dies of where a value is of a kind it does not expect."""

_FIXED_HREF = re.compile(r'href="(https?://[^"\ue000]+)"')
_OPEN_HREF = re.compile(r'href="((?:https?://|\ue000)[^"]*)"')
_KEPT_STARTS = 64

S = TypeVar("S", str, bytes)


class Cut(Generic[S]):
    """A text cut at its slots: every second piece is a slot, `slots` says which value it takes."""

    __slots__ = ("pieces", "slots")

    def __init__(self, pieces: Sequence[S], slots: Sequence[tuple[int, int]]) -> None:
        self.pieces: tuple[S, ...] = tuple(pieces)
        self.slots = tuple(slots)

    def fill(self, values: Sequence[S]) -> S:
        """The text with its values, by number."""
        pieces = list(self.pieces)
        for position, number in self.slots:
            pieces[position] = values[number]
        return self.pieces[0][:0].join(pieces)


def cut(marked: str) -> Cut[str]:
    """A text cut at the marks of its slots."""
    pieces = SLOT.split(marked)
    return Cut(pieces, [(at, int(pieces[at])) for at in range(1, len(pieces), 2)])


def encoded(text: Cut[str]) -> Cut[bytes]:
    """The same in UTF-8."""
    return Cut([piece.encode() for piece in text.pieces], text.slots)


class Openings:
    """The slots that texts print: which value goes into each, and through which filters."""

    def __init__(self, slots: Sequence[Slot], paths: Sequence[str], cuts: Sequence[Cut[str]]) -> None:
        printed = sorted({number for one in cuts for _, number in one.slots if number < len(slots)})
        self._takes = [(number, paths.index(slots[number].path), slots[number].steps) for number in printed]
        self.links = [number for number in printed if slots[number].path.startswith("links.")]
        self._empty = [""] * len(slots)

    def take(self, values: Sequence[object]) -> list[str] | None:
        """The texts by number of their slot; None where one would change what stands around it."""
        texts = self._empty.copy()
        for number, index, steps in self._takes:
            text = values[index]
            if steps or type(text) is not str:
                text = _print(text, steps)
            if type(text) is not str or not fits(text):
                return None
            texts[number] = text
        return texts


def _print(value: Any, steps: Sequence[Callable[[Any], object]]) -> object:
    try:
        for step in steps:
            value = step(value)
        return print_value(value)
    except (RenderError, *FAILURES):
        return None


class EmailSkeleton:
    """All of an e-mail but what differs between the contacts it is for."""

    def __init__(self, marked: EmailContent, slots: Sequence[Slot], paths: Sequence[str]) -> None:
        hrefs: dict[str, int] = {}  # address → its number, after those of the slots

        def number(found: re.Match[str]) -> str:
            if not fits(found[1]):
                raise CannotPrepare
            return f'href="\ue000+{hrefs.setdefault(found[1], len(slots) + len(hrefs))}\ue001"'

        html = _FIXED_HREF.sub(number, marked.html)
        _refuse_open_addresses(marked.html, slots)
        self.subject, self.html, self.text = cut(marked.subject), cut(html), cut(marked.text)
        self.openings = Openings(slots, paths, (self.subject, self.html, self.text))
        self.hrefs = tuple(hrefs)
        self.parts = (
            PreparedPart("plain", self.text.pieces, self.text.slots),
            PreparedPart("html", self.html.pieces, self.html.slots),
        )
        self._raw = encoded(self.subject), encoded(self.html), encoded(self.text)
        self._starts: dict[tuple[bytes, int], hashlib._Hash] = {}

    def fill(self, values: Sequence[object]) -> "Letter | None":
        """The e-mail with these values, in the order of the paths; None where they do not fit."""
        texts = self.openings.take(values)
        if texts is None:
            return None
        return Letter(self, [*texts, *self.hrefs], [*map(_escape, texts), *self.hrefs])

    def hash(self, letter: "Letter", links: Mapping[str, str]) -> bytes:
        """`content_hash` of the e-mail. `links` are signed: nothing but their slots can hold one."""
        names: dict[str, str] = {}
        for name, url in links.items():
            names.setdefault(url, name)
        plain, escaped = [text.encode() for text in letter.plain], [text.encode() for text in letter.escaped]
        for number in self.openings.links:
            plain[number] = escaped[number] = link_mark(names[letter.plain[number]]).encode()
        subject, html, text = (one.fill(values) for one, values in zip(self._raw, (plain, escaped, plain), strict=True))
        # The head and the frame of a mail are two thirds of it and the same: only what follows them is hashed anew.
        start = self._starts.get((subject, len(html)))
        first = self._raw[1].pieces[0]
        if start is None:
            if len(self._starts) >= _KEPT_STARTS:
                self._starts.clear()
            start = hashlib.sha256(_field(b"email") + _field(subject) + len(html).to_bytes(8, "big") + first)
            self._starts[subject, len(html)] = start
        digest = start.copy()
        digest.update(html[len(first) :] + _field(text))
        return digest.digest()


class BodySkeleton:
    """The body of an SMS or a post with its slots."""

    def __init__(self, marked: str, slots: Sequence[Slot], paths: Sequence[str]) -> None:
        self._cut = cut(marked)
        self._openings = Openings(slots, paths, (self._cut,))

    def fill(self, values: Sequence[object]) -> str | None:
        """The body with these values; None where they do not fit."""
        texts = self._openings.take(values)
        return None if texts is None else self._cut.fill(texts)


@dataclass(frozen=True)
class Letter:
    """One filled e-mail; its texts and bytes are put together when asked for."""

    skeleton: EmailSkeleton = field(repr=False)
    plain: Sequence[str] = field(repr=False)
    escaped: Sequence[str] = field(repr=False)

    @cached_property
    def content(self) -> EmailContent:
        """The whole of it."""
        html = self.skeleton.html.fill(self.escaped)
        return EmailContent(subject=self.subject, html=html, text=self.skeleton.text.fill(self.plain))

    @property
    def subject(self) -> str:
        """Its subject."""
        return self.skeleton.subject.fill(self.plain)

    def hash(self, links: Mapping[str, str]) -> bytes:
        """`content_hash` of its content."""
        return self.skeleton.hash(self, links)

    def leading_to(self, hrefs: Mapping[str, str]) -> "Letter":
        """The same with other addresses behind its links, each as written in HTML."""
        count = len(self.skeleton.hrefs)
        known = [hrefs.get(href, href) for href in self.skeleton.hrefs]
        return replace(self, escaped=[*self.escaped[: len(self.escaped) - count], *known])

    def parts(self) -> Sequence[bytes]:
        """Heads and bodies of its MIME parts, in pieces."""
        text, html = self.skeleton.parts
        return text.fill(self.plain) + html.fill(self.escaped)


def _escape(text: str) -> str:
    return str.__str__(escape(text)) if text else text


def _field(raw: bytes) -> bytes:
    return len(raw).to_bytes(8, "big") + raw


def _refuse_open_addresses(html: str, slots: Sequence[Slot]) -> None:
    """A link to somewhere else for each contact may be one to follow: its address is known before the cut."""
    for found in _OPEN_HREF.finditer(html):
        for slot in (slots[int(number)] for number in SLOT.findall(found[1])):
            if not (slot.path.startswith("links.") and found[1] == slot.mark):
                raise Looked(slot.path)
