"""What the documents say about scores and words is what the code does."""

import re
from pathlib import Path

import pytest

from notifier.domain.channel import Channel
from notifier.domain.message import State
from notifier.domain.purpose import Purpose
from notifier.domain.scores import TOP_BOXES, Verdict, csat, satisfied_from
from notifier.domain.survey import QuestionType

DOCS = Path(__file__).parents[2] / "docs"
SATISFACTION = (DOCS / "satisfaction.md").read_text("utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")


def rows(text: str, columns: int) -> list[list[str]]:
    """The table rows with so many columns, headings and rules left out."""
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return [row for row in cells if len(row) == columns and row[0][:1].isdigit()]


def shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


@pytest.mark.parametrize("row", rows(SATISFACTION, 8), ids=lambda row: f"{row[0]}/{row[1]}")
def test_the_worked_examples_are_what_the_code_says(row: list[str]) -> None:
    satisfied, n = int(row[0]), int(row[1])
    got = csat({5: satisfied, 3: n - satisfied})
    assert row[2:] == [
        shown(got.value_pct),
        f"{shown(got.low_pct)}–{shown(got.high_pct)}",
        shown(got.verdict_bound_pct),
        shown(got.verdict_upper_pct),
        got.verdict.replace("-", " "),
        str(got.answers_needed or "–"),
    ]


def test_the_documents_have_examples_of_every_verdict() -> None:
    assert {row[6].replace(" ", "-") for row in rows(SATISFACTION, 8)} == set(Verdict)


def test_the_box_rule_in_the_document_is_the_codes() -> None:
    documented = {row[0].removeprefix("1–"): re.findall(r"\d+", row[1]) for row in rows(SATISFACTION, 2)}
    rule = {str(scale): [str(n) for n in range(satisfied_from(scale), scale + 1)] for scale in TOP_BOXES}
    assert documented == rule


@pytest.mark.parametrize("words", [State, Purpose, Channel, QuestionType, Verdict], ids=lambda words: words.__name__)
def test_the_glossary_has_every_word_of_the_code(
    words: type[State] | type[Purpose] | type[Channel] | type[QuestionType] | type[Verdict],
) -> None:
    assert all(f"`{word.value}`" in GLOSSARY for word in words)


def test_the_glossary_explains_a_word_once() -> None:
    words = re.findall(r"^\| (?:\*\*|`)([\w -]+)", GLOSSARY, re.MULTILINE)
    assert len(words) == len(set(words)) > 50
