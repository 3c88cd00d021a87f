"""What went wrong, in the reader's language: errors are raised in English, with values in them, and said here.

The catalogue `locales/problems/` holds each message as the code writes it, `{}` for a value. A translation puts the values
back as `{}` in the same order, or as `{0}`, `{1}` in its own.
"""

import re
from collections.abc import Mapping
from functools import cache

from babel.messages.pofile import read_po

from notifier.web.console.catalogues import FOLDER, LOCALES, load_catalogue

_SENTENCES = re.compile(r"(?<=[^\d])\. (?=[A-Z`])")


def say_problem(locale: str, problem: object) -> str:
    """The error, or its text, in this language; as it stands where nobody translated it."""
    field, text = getattr(problem, "field", ""), str(problem)
    if field and text.startswith(f"{field}: "):
        text = text[len(field) + 2 :]  # the form shows which field it is
    return _say(locale, text)


def _say(locale: str, text: str) -> str:
    whole = _match(locale, text)
    if whole is not None or not any(load_problems(locale)):
        return whole or text
    parts = _SENTENCES.split(text)
    if len(parts) == 1:
        return text
    return "".join(_ended(_match(locale, part) or part) for part in parts)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(("。", "？", "…", ".")) else f"{sentence}。"


def _match(locale: str, text: str) -> str | None:
    """The translation of one message; a full stop at its end does not matter."""
    exact, patterns = load_problems(locale)
    bare = text.removesuffix(".")
    if (found := exact.get(text) or exact.get(bare)) is not None:
        return found
    for pattern, said in patterns:
        if hit := pattern.fullmatch(bare):
            return said.format(*(_value(locale, value) for value in hit.groups()))
    return None


def _value(locale: str, value: str) -> str:
    """A value in a message: a state or another word of ours, said as pages say it."""
    catalogue = load_catalogue(locale)
    return catalogue.get(f"run {value}") or catalogue.get(value) or value


@cache
def load_problems(locale: str) -> tuple[Mapping[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    """Messages without values, and patterns of those with; the longest first, so that the most exact one is taken."""
    path = FOLDER / "problems" / f"{LOCALES[locale]}.po"
    if not path.exists():
        return {}, ()
    with path.open("rb") as file:
        said = {str(one.id): str(one.string) for one in read_po(file) if one.id and one.string}
    exact = {message.removesuffix("."): text for message, text in said.items() if "{" not in message}
    valued = sorted((message for message in said if "{" in message), key=len, reverse=True)
    return exact, tuple((_pattern(message), said[message]) for message in valued)


def _pattern(message: str) -> re.Pattern[str]:
    text = message.removesuffix(".").replace("{{", "\0").replace("}}", "\1")
    parts = [re.escape(part.replace("\0", "{").replace("\1", "}")) for part in text.split("{}")]
    return re.compile("(.+?)".join(parts), re.DOTALL)
