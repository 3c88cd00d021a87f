"""What the starter pack promises about every message it sends."""

import re
from datetime import timedelta

import pytest

from notifier.domain.channel import EmailContent, PostContent, SmsContent
from notifier.domain.purpose import Purpose
from notifier.rendering.check import check_template
from tests.starter.pack import LOCALES, messages, pack

CAMPAIGNS = {
    "measures-notice": Purpose.SERVICE,
    "safe-operation-guide": Purpose.SERVICE,
    "financial-tips": Purpose.MARKETING,
    "branch-closure-alert": Purpose.EMERGENCY,
    "correction-and-all-clear": None,
    "monthly-satisfaction": Purpose.SERVICE,
    "lecture": Purpose.MARKETING,
    "ask-us": Purpose.SERVICE,
}
MASTODON_CHARACTERS = 500


def test_the_pack_holds_the_eight_campaigns_with_their_purposes() -> None:
    assert {key: entry.value.purpose for key, entry in pack().campaigns.items()} == CAMPAIGNS


@pytest.mark.parametrize("key", sorted(pack().templates))
def test_a_template_has_no_problem_and_no_remark(key: str) -> None:
    assert check_template(pack().templates[key].value, pack().bank.value) == []


@pytest.mark.parametrize("longest", [False, True], ids=["examples", "longest"])
def test_an_sms_costs_at_most_two_parts(longest: bool) -> None:
    texts = [sent for sent in messages(longest=longest) if isinstance(sent.content, SmsContent)]
    too_long = [sent for sent in texts if isinstance(sent.content, SmsContent) and sent.content.parts > 2]
    assert texts
    assert too_long == []


def test_an_english_sms_stays_in_the_cheap_alphabet() -> None:
    found = {
        sent.name: sent.content.encoding
        for sent in messages()
        if isinstance(sent.content, SmsContent) and sent.locale == "en"
    }
    assert set(found.values()) == {"GSM-7"}


def test_a_post_fits_the_strictest_network() -> None:
    lengths = {
        (sent.name, sent.locale): len(sent.content.text) for sent in messages() if isinstance(sent.content, PostContent)
    }
    assert max(lengths.values()) <= MASTODON_CHARACTERS


def test_marketing_says_how_to_opt_out_in_every_body() -> None:
    marketing = [sent for sent in messages() if sent.name.startswith(("financial-tips/", "lecture/invite"))]
    for sent in marketing:
        match sent.content:
            case EmailContent(html=html, text=text):
                assert "/u/x" in html
                assert "/u/x" in text
            case SmsContent(text=text):
                assert "拒收请回复R" in text or "Reply STOP to opt out" in text


def test_a_message_without_a_name_still_greets() -> None:
    greetings = {"zh-CN": "尊敬的客户：", "en": "Dear customer,"}
    for sent in messages():
        if isinstance(sent.content, EmailContent):
            assert greetings[sent.locale] in sent.content.html
            assert greetings[sent.locale] in sent.content.text


def test_every_link_leads_to_the_bank() -> None:
    for sent in messages():
        text = sent.content.html + sent.content.text if isinstance(sent.content, EmailContent) else sent.content.text
        hosts = set(re.findall(r"(?:href=\"|\s|：)https?://([^/\s\"<]+)", text))
        assert all(host == "riverside-bank.example" or host.endswith(".riverside-bank.example") for host in hosts), (
            sent.name
        )


def test_no_definition_lacks_one_of_the_banks_languages() -> None:
    for entry in pack().surveys.values():
        texts = [entry.value.title, entry.value.intro, entry.value.thanks]
        texts += [text for q in entry.value.questions for text in (q.text, *q.choices.values())]
        assert all(set(text.texts) == set(LOCALES) for text in texts), entry.key


def test_satisfaction_asks_a_quarter_of_those_left_in_peace_for_90_days() -> None:
    campaign = pack().campaigns["monthly-satisfaction"].value
    (step,) = campaign.steps
    assert (step.sample_pct, step.closes) == (25.0, timedelta(days=14))
    survey = pack().surveys["monthly-satisfaction"].value
    assert survey.score is not None
    assert survey.score.target_pct == 85.0
    trust = survey.question("trust")
    assert trust is not None
    assert trust.months == (3, 6, 9, 12)


def test_an_emergency_is_not_sent_later_than_four_hours() -> None:
    assert pack().campaigns["branch-closure-alert"].value.expires == timedelta(hours=4)
