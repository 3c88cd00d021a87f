"""Parts are counted as handsets pack them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rendering.sms import GSM_7, UCS_2, count_parts, to_gsm7

EMOJI = "😀"


@pytest.mark.parametrize(
    ("text", "encoding", "parts", "units_left"),
    [
        ("a" * 160, GSM_7, 1, 0),
        ("a" * 161, GSM_7, 2, 145),
        ("a" * 306, GSM_7, 2, 0),
        ("a" * 307, GSM_7, 3, 152),
        ("€" * 80, GSM_7, 1, 0),
        ("€" * 81, GSM_7, 2, 143),  # 76 in the first part: half an escape does not fill the 153rd septet
        ("a" * 152 + "€" + "a" * 10, GSM_7, 2, 141),
        ("汉" * 70, UCS_2, 1, 0),
        ("汉" * 71, UCS_2, 2, 63),
        ("汉" * 72, UCS_2, 2, 62),
        ("汉" * 134, UCS_2, 2, 0),
        ("汉" * 135, UCS_2, 3, 66),
        (EMOJI * 35, UCS_2, 1, 0),
        (EMOJI * 36, UCS_2, 2, 61),  # 33 pairs in the first part: the 67th unit stays empty
        ("a" * 69 + EMOJI, UCS_2, 2, 63),
        ("", GSM_7, 1, 160),
    ],
)
def test_parts_follow_the_standard(text: str, encoding: str, parts: int, units_left: int) -> None:
    count = count_parts(text)
    assert (count.encoding, count.parts, count.units_left) == (encoding, parts, units_left)
    assert count.characters == len(text)


@settings(deadline=None)
@given(st.text())
def test_a_text_fits_into_the_parts_it_is_counted_as(text: str) -> None:
    count = count_parts(text)
    single, multi = (160, 153) if count.encoding == GSM_7 else (70, 67)
    units = sum(2 if c in "\f^{}\\[~]|€" else 1 for c in text) if count.encoding == GSM_7 else len(_utf16(text))
    assert (count.parts == 1) == (units <= single)
    if count.parts > 1:
        # At most one unit of each part but the last is lost to a pair that would not fit.
        assert (count.parts - 1) * (multi - 1) < units <= count.parts * multi
    assert 0 <= count.units_left <= single


@settings(deadline=None)
@given(st.text(), st.characters())
def test_a_longer_text_never_costs_less(text: str, more: str) -> None:
    assert count_parts(text + more).parts >= count_parts(text).parts


def _utf16(text: str) -> list[int]:
    raw = text.encode("utf-16-be", "surrogatepass")
    return [raw[at] * 256 + raw[at + 1] for at in range(0, len(raw), 2)]


def test_typographic_characters_are_made_plain_when_that_saves_the_short_alphabet() -> None:
    assert to_gsm7("“Don’t” – wait…\u00a0now\u202fok") == '"Don\'t" - wait... now ok'
    assert count_parts(to_gsm7("it’s 10:00\u202fAM")).encoding == GSM_7


@pytest.mark.parametrize("text", ["“好”…", "naïve “quote”", "café déjà", "plain"])
def test_a_text_stays_as_it_is_when_plain_characters_would_not_help(text: str) -> None:
    assert to_gsm7(text) == text


@settings(deadline=None)
@given(st.text())
def test_making_plain_never_costs_more(text: str) -> None:
    plain = to_gsm7(text)
    assert plain == text or count_parts(plain).encoding == GSM_7
    assert count_parts(plain).parts <= count_parts(text).parts
