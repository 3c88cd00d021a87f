"""Segments: rules saved under a name, within bounds, about contacts alone."""

import pytest

from notifier.domain.audience import EVERYBODY, All, Any, Attribute, KindIs, Not, Operator
from notifier.domain.contact import ContactKind
from notifier.domain.errors import DefinitionErrors
from notifier.domain.segment import MAX_CONDITIONS, MAX_DEPTH, Segment, conditions, depth, needs_a_run
from notifier.domain.spec import from_spec, segment_from_spec, spec_hash, to_spec
from notifier.domain.text import Localized

CUSTOMER = KindIs(ContactKind.CUSTOMER)
CITY = Attribute("city", Operator.IN, ("Shanghai", "Suzhou"))


def spec(audience: object) -> dict[str, object]:
    """A segment as it is stored."""
    return {"segment": "s", "title": {"zh-CN": "客群", "en": "S"}, "audience": audience}


@pytest.mark.parametrize("rule", [EVERYBODY, CUSTOMER, All((CUSTOMER, Not(CITY))), Any((CUSTOMER, All((CITY,))))])
def test_a_segment_comes_back_as_it_was_written(rule: All | Any | KindIs) -> None:
    segment = Segment(key="s", title=Localized({"zh-CN": "客群", "en": "S"}), audience=rule)
    assert from_spec("segment", to_spec(segment)) == segment
    assert spec_hash(to_spec(segment)) == spec_hash(to_spec(segment_from_spec(to_spec(segment))))


@pytest.mark.parametrize(
    "audience",
    [
        {"input": "branch", "is": "all"},
        {"all": [{"attribute": "branch", "is": {"input": "branch"}}]},
        {"not": {"received": {"run": {"input": "earlier"}}}},
        {"answered": {"survey": "s", "same_run": True}},
    ],
)
def test_a_segment_knows_no_run(audience: object) -> None:
    with pytest.raises(DefinitionErrors, match="input of a run"):
        segment_from_spec(spec(audience))


def test_a_hundred_conditions_are_enough() -> None:
    rows = [{"attribute": "city", "is": str(number)} for number in range(MAX_CONDITIONS)]
    found = segment_from_spec(spec({"any": rows}))
    assert len(list(conditions(found.audience))) == MAX_CONDITIONS
    with pytest.raises(DefinitionErrors, match="more than 100 conditions"):
        segment_from_spec(spec({"any": [*rows, {"kind": "customer"}]}))


def test_nesting_has_an_end() -> None:
    rule: dict[str, object] = {"kind": "customer"}
    for _ in range(MAX_DEPTH - 1):
        rule = {"not": rule}
    assert depth(segment_from_spec(spec(rule)).audience) == MAX_DEPTH
    with pytest.raises(DefinitionErrors, match="nested deeper"):
        segment_from_spec(spec({"not": rule}))


def test_an_unknown_key_or_none_at_all_is_refused() -> None:
    with pytest.raises(DefinitionErrors, match="`audience` is missing"):
        segment_from_spec({"segment": "s", "title": "S"})
    with pytest.raises(DefinitionErrors, match="`rule` is not a key"):
        segment_from_spec({**spec({}), "rule": {}})


def test_conditions_are_the_leaves() -> None:
    assert list(conditions(All((CUSTOMER, Not(Any((CITY, CUSTOMER))))))) == [CUSTOMER, CITY, CUSTOMER]
    assert depth(CUSTOMER) == 1
    assert not needs_a_run(All((CUSTOMER, CITY)))
