"""Every address a reader could follow is found, as it would be opened."""

from notifier.domain.channel import EmailContent, PostContent, SmsContent
from notifier.rendering.addresses import addresses_in


def test_links_and_typed_addresses_of_an_e_mail_are_found_once() -> None:
    html = '<a href="https://bank.example/a?b=1&amp;c=2">x</a><img src="https://bank.example/logo.png"><a href=\'http://x.example\'>'
    text = "See https://bank.example/a?b=1&c=2, or (http://y.example/z)."
    assert addresses_in(EmailContent(subject="s", html=html, text=text)) == (
        "https://bank.example/a?b=1&c=2",
        "http://x.example",
        "http://y.example/z",
    )


def test_an_address_ends_where_the_chinese_sentence_goes_on() -> None:
    sms = SmsContent(text="请见https://bank.example/t，或回复。https://b.example/s/x。", parts=1, encoding="UCS-2")
    assert addresses_in(sms) == ("https://bank.example/t", "https://b.example/s/x")
    assert addresses_in(PostContent(text="no link, tel:95555")) == ()
