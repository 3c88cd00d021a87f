"""Cells one by one: typed, normalised, safe in a spreadsheet."""

from collections.abc import Callable

import pytest

from notifier.domain.errors import InputError
from notifier.planning.contact_import import read_email, read_phone
from notifier.planning.contact_import.values import read_attribute
from notifier.planning.spreadsheet import plain_cell, safe_cell


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1", "'=1"),
        ("＝1", "'＝1"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("@a", "'@a"),
        ("-x", "'-x"),
        ("+a", "'+a"),
        ("+12125550123", "+12125550123"),
        ("-4.5", "-4.5"),
        ("plain", "plain"),
        ("'plain", "'plain"),
        ("", ""),
    ],
)
def test_cells_that_a_spreadsheet_would_run_are_quoted_and_come_back(text: str, safe: str) -> None:
    assert safe_cell(text) == safe
    assert plain_cell(safe) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("007", "007"),
        ("-0", "-0"),
        ("1.50", 1.5),
        ("1e5", "1e5"),
        ("+86", "+86"),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("2026-01-31", "2026-01-31"),
        ("1234567890123456789", "1234567890123456789"),
        ("٣", "٣"),
        (" x ", "x"),
    ],
)
def test_an_attribute_is_typed_only_where_it_reads_back_the_same(text: str, value: object) -> None:
    found = read_attribute(text)
    assert (found, type(found)) == (value, type(value))


PHONES: list[tuple[str, str, str]] = [
    ("13812345678", "CN", "+8613812345678"),
    ("138 1234-5678", "CN", "+8613812345678"),
    ("１３８１２３４５６７８", "CN", "+8613812345678"),
    ("+86 138 1234 5678", "US", "+8613812345678"),
    ("021-61234567", "CN", "+862161234567"),
    ("(212) 555-0123", "US", "+12125550123"),
    ("0044 20 7946 0123", "CN", "+442079460123"),
    ("+442079460123", "CN", "+442079460123"),
]


@pytest.mark.parametrize(("text", "region", "number"), PHONES)
def test_a_number_becomes_e164(text: str, region: str, number: str) -> None:
    assert read_phone(text, region) == number


@pytest.mark.parametrize("read", [lambda: read_email("a@localhost"), lambda: read_email("a" * 65 + "@example.com")])
def test_an_address_nobody_can_have_is_refused(read: Callable[[], str]) -> None:
    with pytest.raises(InputError):
        read()


def test_an_international_address_is_taken() -> None:
    assert read_email("王芳@例子.公司") == "王芳@例子.公司"
