"""What an exercise sends says so first."""

import pytest

from notifier.domain.channel import EmailContent, PostContent, SmsContent
from notifier.rendering.render import content_hash
from notifier.rendering.sms import count_parts
from notifier.rendering.stamp import exercise_mark, stamp_exercise

LANGUAGES = [
    ("zh-CN", "【演练】", "仅为演练"),
    ("zh-HK", "【演练】", "仅为演练"),
    ("en", "[EXERCISE]", "only an exercise"),
]
MAIL = EmailContent(
    subject="静安支行临时关闭",
    html='<!doctype html><html><head><title>x</title></head><body class="page"><p>请勿前往</p></body></html>',
    text="请勿前往\n",
)


@pytest.mark.parametrize(("locale", "mark", "sentence"), LANGUAGES)
def test_subject_banner_and_first_line_of_an_email_are_stamped(locale: str, mark: str, sentence: str) -> None:
    stamped = stamp_exercise(MAIL, locale)
    assert isinstance(stamped, EmailContent)
    assert stamped.subject.startswith(mark)
    assert stamped.subject.endswith(MAIL.subject)
    first = stamped.text.splitlines()[0]
    assert first.startswith(mark)
    assert sentence in first
    assert stamped.text.endswith(MAIL.text)
    before, banner = stamped.html.split("<p>")[0].split('<body class="page">')
    assert "<div" not in before
    assert mark in banner
    assert sentence in banner


def test_a_mail_without_a_body_element_is_stamped_at_its_start() -> None:
    stamped = stamp_exercise(EmailContent(subject="x", html="<p>x</p>", text="x"), "en")
    assert isinstance(stamped, EmailContent)
    assert stamped.html.startswith("<div")
    assert stamped.html.endswith("<p>x</p>")


@pytest.mark.parametrize(("locale", "mark", "sentence"), LANGUAGES)
def test_a_post_begins_with_the_stamp(locale: str, mark: str, sentence: str) -> None:
    stamped = stamp_exercise(PostContent(text="静安支行临时关闭"), locale)
    first, _, rest = stamped.text.partition("\n\n") if isinstance(stamped, PostContent) else ("", "", "")
    assert first.startswith(mark)
    assert sentence in first
    assert rest == "静安支行临时关闭"


def test_the_signature_a_carrier_looks_for_stays_first_in_an_sms() -> None:
    stamped = stamp_exercise(SmsContent(text="【江畔银行】静安支行临时关闭", parts=1, encoding="UCS-2"), "zh-CN")
    assert isinstance(stamped, SmsContent)
    assert stamped.text.startswith("【江畔银行】【演练】")
    assert stamped.text.endswith("静安支行临时关闭")


def test_the_parts_of_an_sms_count_the_stamp() -> None:
    text = "Riverside Bank: " + "a" * 140
    stamped = stamp_exercise(SmsContent(text=text, parts=1, encoding="GSM-7"), "en")
    assert isinstance(stamped, SmsContent)
    assert stamped.text.startswith("[EXERCISE] ")
    assert (stamped.parts, stamped.encoding) == (2, "GSM-7")
    assert count_parts(stamped.text).parts == 2


def test_a_language_without_words_of_its_own_gets_both() -> None:
    assert exercise_mark("fr") == "【演练】[EXERCISE]"
    stamped = stamp_exercise(PostContent(text="x"), "fr")
    assert isinstance(stamped, PostContent)
    assert "仅为演练" in stamped.text
    assert "only an exercise" in stamped.text


def test_a_stamped_content_has_another_hash() -> None:
    assert content_hash(stamp_exercise(MAIL, "zh-CN")) != content_hash(MAIL)
