"""Tokens open only what they were signed for, and reading one never raises."""

import hmac
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain import links
from notifier.domain.links import LinkKind, address_key, derive_key, message_token, read_link, sign_link
from notifier.domain.message import MessageId, RunId

KEY = derive_key(b"secret", "links")
TOKEN = sign_link(KEY, LinkKind.SURVEY, 202603000001, 42)

numbers = st.lists(st.integers(0, 2**63 - 1), max_size=12)


def signed(body: str) -> str:
    """A body nobody would sign, with the tag it would have: only a fault of ours could make one."""
    return f"{body}.{links._tag(KEY, body)}"


@given(st.sampled_from(LinkKind), numbers)
def test_a_token_says_what_was_signed(kind: LinkKind, values: list[int]) -> None:
    token = sign_link(KEY, kind, *values)
    assert read_link(KEY, kind, token) == tuple(values)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,200}", token)


def test_a_message_token_carries_run_and_message() -> None:
    token = message_token(KEY, RunId(202603000001), MessageId(7))
    assert read_link(KEY, LinkKind.MESSAGE, token) == (202603000001, 7)


@pytest.mark.parametrize("kind", [kind for kind in LinkKind if kind is not LinkKind.SURVEY])
def test_a_token_of_another_kind_is_refused(kind: LinkKind) -> None:
    assert read_link(KEY, kind, TOKEN) is None


def test_another_key_refuses_the_token() -> None:
    assert read_link(derive_key(b"secret", "other"), LinkKind.SURVEY, TOKEN) is None
    assert read_link(derive_key(b"other", "links"), LinkKind.SURVEY, TOKEN) is None


@pytest.mark.parametrize("position", range(len(TOKEN)))
def test_one_changed_character_is_refused(position: int) -> None:
    other = "x" if TOKEN[position] != "x" else "y"
    assert read_link(KEY, LinkKind.SURVEY, TOKEN[:position] + other + TOKEN[position + 1 :]) is None


@pytest.mark.parametrize("length", range(len(TOKEN)))
def test_a_cut_token_is_refused(length: int) -> None:
    assert read_link(KEY, LinkKind.SURVEY, TOKEN[:length]) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "...",
        "s",
        "s.",
        ".s",
        f".{TOKEN}",
        f"{TOKEN}.",
        f"{TOKEN} ",
        f"{TOKEN}\n",
        TOKEN.upper(),
        TOKEN.replace(".", "．"),
        "签名",
        "s.1.é",
        "\ud800",
        "\x00",
        TOKEN + "=" * 4,
        TOKEN * 20,
        "s." + "1" * 10**6,
    ],
)
def test_foreign_text_is_refused(token: str) -> None:
    assert read_link(KEY, LinkKind.SURVEY, token) is None


@pytest.mark.parametrize(
    "body", ["s.", "s..1", "s.1.", "s.-1", "s.+1", "s.1_0", "s.A", "s.01", "s. 1", "s.!", "", "x.1"]
)
def test_a_number_has_one_spelling_even_under_a_valid_tag(body: str) -> None:
    assert read_link(KEY, LinkKind.SURVEY, signed(body)) is None


def test_a_long_token_is_refused_even_under_a_valid_tag() -> None:
    assert read_link(KEY, LinkKind.SURVEY, signed("s." + "1" * 300)) is None


@given(st.text(max_size=250) | st.text(alphabet=string.ascii_letters + string.digits + "._-", max_size=250))
def test_reading_never_raises(token: str) -> None:
    assert read_link(KEY, LinkKind.SURVEY, token) is None
    read_link(KEY, LinkKind.SURVEY, signed(token) if token.isascii() else token)


@pytest.mark.parametrize("values", [(-1,), (1, -5), (2**63,), tuple(range(13))])
def test_numbers_that_no_reader_would_take_are_not_signed(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="up to 12 numbers"):
        sign_link(KEY, LinkKind.SURVEY, *values)


def test_keys_differ_by_use_and_secret() -> None:
    keys = {derive_key(secret, use) for secret in (b"a", b"b") for use in ("links", "addresses")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize("key", [KEY, b"", b"k" * 64, b"k" * 65])
def test_an_address_key_is_an_hmac(key: bytes) -> None:
    whole = hmac.digest(key, "email:王@example.com".encode(), "sha256")
    assert address_key(key, "email", "王@example.com") == whole[:16]


def test_an_address_key_hides_the_address_and_keeps_equality() -> None:
    key = address_key(KEY, "email", "anna@example.com")
    assert key == address_key(KEY, "email", "anna@example.com")
    assert len(key) == 16
    assert b"anna" not in key
    others = [
        address_key(KEY, "sms", "anna@example.com"),
        address_key(KEY, "email", "anne@example.com"),
        address_key(derive_key(b"other", "links"), "email", "anna@example.com"),
    ]
    assert key not in others
