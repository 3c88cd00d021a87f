"""docs/definitions.md names every key the readers know."""

from pathlib import Path

import pytest

from notifier.domain.audience import Operator
from notifier.domain.campaign import Condition, InputType
from notifier.domain.notation import bank, campaign, rules, segment, survey, template

REFERENCE = (Path(__file__).parents[3] / "docs" / "definitions.md").read_text(encoding="utf-8")
KEYS = {
    "bank": (*bank.BANK_REQUIRED, *bank.BANK_OPTIONAL),
    "account": (*bank.ACCOUNT_REQUIRED, *bank.ACCOUNT_OPTIONAL),
    "survey": (*survey.REQUIRED, *survey.OPTIONAL, *survey.QUESTION_REQUIRED, *survey.QUESTION_COMMON),
    "question": tuple(key for own in survey.QUESTION_OWN.values() for key in own),
    "campaign": (*campaign.REQUIRED, *campaign.OPTIONAL, *campaign.SCHEDULE, *campaign.STEP, *campaign.ANCHOR),
    "input": (*campaign.INPUT_REQUIRED, *campaign.INPUT_OPTIONAL, *InputType),
    "rule": (*rules.KEYWORDS, *Operator, *Condition),
    "segment": segment.REQUIRED,
    "template": (*template.REQUIRED, *template.OPTIONAL, *template.KEEP),
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_reference_names_every_key(kind: str) -> None:
    missing = [key for key in KEYS[kind] if f"`{key}" not in REFERENCE and f"{key}:" not in REFERENCE]
    missing = [key for key in missing if f", {key}" not in REFERENCE]
    assert missing == []
