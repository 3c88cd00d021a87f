"""What a step is for and about: its own word, then what a survey is, then the campaign's."""

import pytest

from notifier.domain.campaign import FEEDBACK, Campaign, Input, InputType, Step
from notifier.domain.purpose import Purpose
from notifier.domain.text import Localized


@pytest.mark.parametrize(
    ("step", "purpose", "topic"),
    [
        (Step(name="a", template="t"), Purpose.MARKETING, "education"),
        (Step(name="a", template="t", purpose=Purpose.SERVICE, topic="notices"), Purpose.SERVICE, "notices"),
        (Step(name="a", template="t", survey="s"), Purpose.SERVICE, FEEDBACK),
        (Step(name="a", template="t", survey="s", purpose=Purpose.MARKETING), Purpose.MARKETING, FEEDBACK),
        (Step(name="a", template="t", survey="s", topic="research"), Purpose.SERVICE, "research"),
    ],
)
def test_a_step_says_it_itself_or_is_a_survey_or_follows_its_campaign(step: Step, purpose: Purpose, topic: str) -> None:
    campaign = Campaign(
        key="c", title=Localized({"en": "x"}), purpose=Purpose.MARKETING, topic="education", steps=(step,)
    )
    assert (campaign.purpose_of(step), campaign.topic_of(step)) == (purpose, topic)


def test_a_campaign_that_inherits_leaves_the_purpose_open() -> None:
    step = Step(name="a", template="t")
    campaign = Campaign(key="c", title=Localized({"en": "x"}), purpose=None, inherits="corrects", steps=(step,))
    assert campaign.purpose_of(step) is None


def test_a_step_is_called_by_its_title_else_by_its_name() -> None:
    steps = (
        Step(name="a", template="t", title=Localized({"en": "Warn", "zh-CN": "通知"})),
        Step(name="b", template="t"),
    )
    campaign = Campaign(key="c", title=Localized({"en": "x"}), purpose=Purpose.SERVICE, steps=steps)
    said = [campaign.step_called(name).get("zh-CN", "en") for name in ("a", "b", "gone")]
    assert said == ["通知", "b", "gone"]


def test_a_choice_without_a_label_is_called_as_it_is_written() -> None:
    wanted = Input(
        name="kind",
        type=InputType.CHOICE,
        label=Localized({"en": "Kind"}),
        choices=("one", "two"),
        choice_labels={"one": Localized({"en": "The first"})},
    )
    assert [wanted.choice_called(choice).get("en", "en") for choice in wanted.choices] == ["The first", "two"]
