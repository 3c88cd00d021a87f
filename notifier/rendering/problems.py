"""What can be wrong with a template, and where."""

from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.errors import Place
from notifier.domain.template import Template


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"  # the template is refused
    REMARK = "remark"  # worth a look before it is sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with a template, where, and what to write instead."""

    place: Place
    text: str
    remedy: str = ""
    severity: Severity = Severity.ERROR


def sources(template: Template) -> dict[str, str]:
    """Every source by name; the subject of a locale is `subject.LOCALE`."""
    return dict(template.files) | {f"subject.{locale}": text for locale, text in template.subject.texts.items()}


def place(template: Template, file: str, line: int = 0, needle: str = "") -> Place:
    """Where in the templates folder; the column is that of `needle` in the line."""
    if file.startswith("subject."):
        return Place(file=f"templates/{template.key}/{file}", line=line)
    folder = "" if file.startswith("_layouts/") else f"{template.key}/"
    lines = template.files.get(file, "").split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return Place(file=f"templates/{folder}{file}", line=line, column=text.find(needle) + 1 if line else 0)
