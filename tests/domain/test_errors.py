"""Errors say where, what and what to do; the tree drawn is the tree there is."""

import inspect

import pytest

from notifier.domain import errors
from notifier.domain.errors import (
    DefinitionError,
    Fault,
    InputError,
    NeverAgain,
    NotifierError,
    OutcomeUnknown,
    Place,
    SendError,
    TryAgain,
)


def test_the_tree_drawn_at_the_top_is_the_tree() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    drawn = {line.split("── ")[1].split()[0]: line.startswith(("    ", "│   ")) for line in lines}
    real = {
        name: NotifierError not in kind.__bases__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, NotifierError) and kind is not NotifierError
    }
    assert drawn == real


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place(file="bank.yaml"), "bank.yaml"),
        (Place(file="bank.yaml", line=3, column=7), "bank.yaml:3:7"),
    ],
)
def test_a_place_reads_like_an_editor_writes_it(place: Place, text: str) -> None:
    assert str(place) == text


def test_a_definition_error_says_where_what_and_the_remedy() -> None:
    place = Place(file="bank.yaml", line=3, column=7)
    assert str(DefinitionError(place, "no such zone", "Write Asia/Shanghai")) == (
        "bank.yaml:3:7: no such zone. Write Asia/Shanghai"
    )
    assert str(DefinitionError(place, "no such zone")) == "bank.yaml:3:7: no such zone"


def test_an_input_error_names_the_field() -> None:
    error = InputError("rating", "not a rating", "Give 1 to 5.")
    assert (error.field, error.problem, error.remedy) == ("rating", "not a rating", "Give 1 to 5.")
    assert str(error) == "rating: not a rating. Give 1 to 5."
    assert str(InputError("rating", "not a rating")) == "rating: not a rating"


def test_a_passing_refusal_says_when_to_come_back() -> None:
    error = TryAgain("slow down", after_s=2.5, code="421", fault=Fault.SENDER)
    assert (error.after_s, error.code, error.fault, str(error)) == (2.5, "421", Fault.SENDER, "slow down")
    assert TryAgain("slow down").after_s > 0


@pytest.mark.parametrize("kind", [TryAgain, NeverAgain, OutcomeUnknown])
def test_what_a_provider_raises_blames_nobody_unless_it_says_so(kind: type[SendError]) -> None:
    error = kind("no")
    assert (error.reason, error.code, error.fault) == ("no", "", Fault.PROVIDER)
    assert kind("no", fault=Fault.RECIPIENT).fault is Fault.RECIPIENT
