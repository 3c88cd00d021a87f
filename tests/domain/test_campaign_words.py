"""The words of steps and choices in a campaign's file: read, written and kept in their order."""

import json

from notifier.domain.campaign import Campaign
from notifier.domain.notation.campaign import read_campaign
from notifier.domain.notation.node import Value
from notifier.domain.notation.source import Source
from notifier.domain.spec import campaign_from_spec, canonical_json, to_spec, to_yaml_shape


def _read(**changes: object) -> tuple[Campaign, list[str]]:
    data: dict[str, object] = {
        "campaign": "c",
        "title": "x",
        "purpose": "service",
        "inputs": {"kind": {"type": "choice", "label": "Kind", "choices": {"zeta": "Last", "a": {"en": "First"}}}},
        "steps": {"warn": {"title": {"en": "Warn", "zh-CN": "通知"}, "channels": ["email"], "template": "t"}},
    }
    source = Source(file="x", data=data | changes)
    return read_campaign(Value(source, (), source.data)), [str(error) for error in source.errors]


def test_titles_and_labels_come_back_from_storage_in_their_order() -> None:
    campaign, errors = _read()
    assert errors == []
    back = campaign_from_spec(json.loads(canonical_json(to_spec(campaign))))
    assert back == campaign
    assert (back.inputs["kind"].choices, list(back.inputs["kind"].choice_labels)) == (("zeta", "a"), ["zeta", "a"])
    assert back.step_called("warn").get("zh-CN", "en") == "通知"


def test_a_written_campaign_reads_as_the_same() -> None:
    campaign, _ = _read()
    source = Source(file="x", data=to_yaml_shape(campaign))
    assert read_campaign(Value(source, (), source.data)) == campaign


def test_choices_without_words_stay_a_plain_list() -> None:
    campaign, errors = _read(inputs={"kind": {"type": "choice", "label": "Kind", "choices": ["b", "a"]}})
    assert (errors, campaign.inputs["kind"].choices) == ([], ("b", "a"))
    shape = to_yaml_shape(campaign)["inputs"]
    assert isinstance(shape, dict)
    assert shape["kind"]["choices"] == ["b", "a"]
    assert campaign_from_spec(json.loads(canonical_json(to_spec(campaign)))) == campaign


def test_a_choice_that_is_no_key_is_told() -> None:
    _, errors = _read(inputs={"kind": {"type": "choice", "label": "Kind", "choices": {"Not A Key": "x"}}})
    assert any("cannot be a name" in error for error in errors)


def test_suggestions_come_back_as_they_were_written() -> None:
    suggestions = [{"en": "later today", "zh-CN": "今日内"}, {"en": "not known yet", "zh-CN": "待定"}]
    reopens = {"type": "text", "localized": True, "label": "Reopens", "suggestions": suggestions}
    campaign, errors = _read(inputs={"reopens": reopens})
    assert (errors, campaign.inputs["reopens"].suggestions) == ([], tuple(suggestions))
    assert campaign_from_spec(json.loads(canonical_json(to_spec(campaign)))) == campaign


def test_an_empty_list_of_suggestions_is_told() -> None:
    _, errors = _read(inputs={"word": {"type": "text", "label": "Word", "suggestions": []}})
    assert any("suggestions` is an empty list" in error for error in errors)
