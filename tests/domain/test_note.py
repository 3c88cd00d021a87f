"""Marks of notes."""

import pytest

from notifier.domain.channel import EmailContent, PostContent, SmsContent
from notifier.domain.note import NoteKind, mark_content, one_line

MAIL = EmailContent(subject="Hi", html='<html><body class="x"><p>a</p></body></html>', text="a\n")


@pytest.mark.parametrize(
    ("kind", "locale", "mark"),
    [
        (NoteKind.TEST, "zh-CN", "【测试】"),
        (NoteKind.TEST, "en", "[TEST] "),
        (NoteKind.PROOF, "zh-CN", "【样稿】"),
        (NoteKind.PROOF, "en", "[PROOF] "),
    ],
)
def test_a_mail_is_marked_in_subject_text_and_html(kind: NoteKind, locale: str, mark: str) -> None:
    marked = mark_content(MAIL, kind, locale=locale, name="Lin")
    assert isinstance(marked, EmailContent)
    assert marked.subject == f"{mark}Hi"
    assert marked.text.startswith(mark)
    assert "Lin" in marked.text.splitlines()[0]
    assert marked.text.endswith("a\n")
    head, _, rest = marked.html.partition('<body class="x">')
    assert head == "<html>"
    assert rest.index(mark.strip()) < rest.index("<p>a</p>")


def test_html_without_a_body_begins_with_the_mark() -> None:
    marked = mark_content(EmailContent(subject="s", html="<p>a</p>", text="a"), NoteKind.TEST, locale="en", name="x")
    assert isinstance(marked, EmailContent)
    assert marked.html.startswith("<div")


def test_an_sms_keeps_its_signature_first_for_carriers_read_it() -> None:
    content = SmsContent(text="【江畔银行】您好", parts=1, encoding="UCS-2")
    marked = mark_content(content, NoteKind.TEST, locale="zh-CN", name="林", signature="【江畔银行】")
    assert isinstance(marked, SmsContent)
    assert marked.text == "【江畔银行】【测试】您好（测试：林）"


def test_an_sms_without_that_signature_begins_with_the_mark() -> None:
    content = SmsContent(text="hello", parts=1, encoding="GSM-7")
    marked = mark_content(content, NoteKind.PROOF, locale="en", name="Lin", signature="Bank: ")
    assert isinstance(marked, SmsContent)
    assert marked.text == "[PROOF] hello (proof for Lin)"


def test_a_post_begins_with_the_line() -> None:
    marked = mark_content(PostContent(text="a"), NoteKind.TEST, locale="en", name="Lin")
    assert isinstance(marked, PostContent)
    assert marked.text.startswith("[TEST] ")


@pytest.mark.parametrize(
    "name", ["Lin\r\nBcc: all@example.com", "Lin\nX", "Lin\x00", "Lin\u2028X", "\u202eniL", "Lin\ue000origin\ue001"]
)
def test_a_name_cannot_break_out_of_its_line(name: str) -> None:
    marked = mark_content(MAIL, NoteKind.TEST, locale="en", name=name)
    assert isinstance(marked, EmailContent)
    assert "\r" not in marked.subject + marked.text
    assert marked.text.count("\n") == 3
    assert not any(sign in marked.text for sign in "\x00\u2028\u202e\ue000")


def test_a_name_is_text_in_html_and_not_too_long() -> None:
    marked = mark_content(MAIL, NoteKind.TEST, locale="en", name="<script>" + "x" * 500)
    assert isinstance(marked, EmailContent)
    assert "<script>" not in marked.html
    assert len(marked.text) < 250


def test_one_line_keeps_words() -> None:
    assert one_line("  a\r\n b\tc ") == "a b c"
