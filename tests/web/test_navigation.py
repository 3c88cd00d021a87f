"""The way to every room, by role."""

import pytest

from notifier.web.console.navigation import is_within, navigation


def _rooms(*, may_audit: bool = False, may_administer: bool = False, has_sandbox: bool = False) -> set[str]:
    groups = navigation(may_audit=may_audit, may_administer=may_administer, has_sandbox=has_sandbox)
    assert all(groups), "a group without a room would be an empty line"
    return {entry.href for group in groups for entry in group}


def test_rooms_a_role_may_not_enter_are_not_offered() -> None:
    everybodys = _rooms()
    assert not everybodys & {"/users", "/keys", "/audit", "/sandbox"}
    assert _rooms(may_audit=True) - everybodys == {"/audit"}
    assert _rooms(may_administer=True) - everybodys == {"/users", "/keys"}
    assert _rooms(has_sandbox=True) - everybodys == {"/sandbox"}


@pytest.mark.parametrize(
    ("path", "href", "within"),
    [
        ("/", "/", True),
        ("/runs", "/", False),
        ("/runs/7/preview", "/runs", True),
        ("/messages/7/1", "/runs", True),
        ("/keys-of-others", "/keys", False),
    ],
)
def test_a_page_belongs_to_one_room(path: str, href: str, within: bool) -> None:
    assert is_within(path, href) is within
