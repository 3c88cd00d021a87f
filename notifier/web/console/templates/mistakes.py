"""What a check finds wrong with a template, in the language of who reads it."""

import re

from notifier.web.console.words import Words

_VARYING = re.compile(
    r"(?<=Known are ).+|(?<=Allowed are ).+|(?<=Possible are: ).+|(?<=following tags: ).+"
    r"|`[^`]*`|'[^']*'|(?<![\w.])[\w-]+(?:\.[\w-]+)+|(?<![\w.-])\d[\d,]*(?:\.\d+)?"
)


def tell_mistake(text: str, t: Words) -> str:
    """The sentence with its names and numbers in place; as it is where there is no translation.

    The checks speak English and name what they found in backticks. Their sentences are messages with `{0}`, `{1}` …
    where names, numbers and lists stood.
    """
    found: list[str] = []

    def note(match: re.Match[str]) -> str:
        found.append(match[0])
        return f"{{{len(found) - 1}}}"

    pattern = _VARYING.sub(note, text)
    told = t(pattern)
    if told == pattern:
        return text
    return re.sub(r"\{(\d+)\}", lambda match: found[int(match[1])] if int(match[1]) < len(found) else match[0], told)
