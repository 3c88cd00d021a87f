"""A campaign, a channel or everything stopped from the command line, and resumed by a person."""

import pytest

from tests.cli.conftest import PASSWORD, Run

GIVEN = f"{PASSWORD}\n"


@pytest.mark.parametrize(
    ("scope", "called"),
    [
        (("--everything",), "Everything"),
        (("--channel", "sms"), "Channel sms"),
        (("--campaign", "measures-notice"), "Campaign measures-notice"),
        (("--everything", "--spare-emergencies"), "Everything (emergencies go on)"),
    ],
    ids=lambda given: "".join(given) if isinstance(given, tuple) else "",
)
def test_what_is_stopped_is_shown_and_resumed_by_a_person(
    applied: Run, two_users: None, scope: tuple[str, ...], called: str
) -> None:
    made = applied("stop", *scope, "--reason", "wrong list")
    assert (made.code, f"{called} has been stopped" in made.out, "wrong list" in made.out) == (0, True, True), made.err
    assert f"{called} has been stopped" in applied("stop").out
    (listed,) = applied("stop", "--json").json
    assert (listed["reason"], listed["runs"], listed["lifted_at"]) == ("wrong list", [], None)
    of = tuple(word for word in scope if word != "--spare-emergencies")
    author = applied("resume", *of, "--as", "lin", given=GIVEN)
    assert (author.code, "resuming needs a person" in author.err) == (1, True)
    assert applied("resume", *of, "--as", "chen", given=GIVEN).code == 0
    assert applied("stop").out == "Nothing is stopped.\n"
    assert "not stopped" in applied("resume", *of, "--as", "chen", given=GIVEN).err


@pytest.mark.parametrize(
    "words",
    [
        ("stop", "--everything", "--channel", "sms", "--reason", "x"),
        ("stop", "--everything"),
        ("stop", "--channel", "fax", "--reason", "x"),
        ("resume",),
        ("resume", "--everything", "--reason", "x"),
    ],
)
def test_what_to_stop_is_said_once_and_with_a_reason(applied: Run, words: tuple[str, ...]) -> None:
    assert applied(*words).code == 2
    assert applied("stop").out == "Nothing is stopped.\n"


def test_a_release_whose_time_to_undo_is_over_stays(applied: Run) -> None:
    said = applied("campaign", "undo", "202603000001")
    assert (said.code, "there is no run" in said.err) == (1, True)
