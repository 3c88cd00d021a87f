"""Bind: an audience rule with a run's inputs put in, so that it says who is meant without naming an input."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from notifier.domain.audience import EVERYBODY, NOBODY, All, Any, Attribute, History, InputIs, InputRef, Not, Rule


def bind_rule(rule: Rule, inputs: Mapping[str, object]) -> Rule:
    """The same rule for these inputs, simpler where they decide a part of it; an input that is not given stays."""
    match rule:
        case All(rules):
            return _join(All, _bound(rules, inputs), decisive=NOBODY, idle=EVERYBODY)
        case Any(rules):
            return _join(Any, _bound(rules, inputs), decisive=EVERYBODY, idle=NOBODY)
        case Not(inner):
            found = bind_rule(inner, inputs)
            return NOBODY if found == EVERYBODY else EVERYBODY if found == NOBODY else Not(found)
        case InputIs(name, value) if name in inputs:
            return EVERYBODY if _spelled(inputs[name]) == _spelled(value) else NOBODY
        case Attribute(operand=InputRef(name)) if isinstance(given := inputs.get(name), str | int | float | bool):
            return replace(rule, operand=given)
        case History(run=InputRef(name)) if str(inputs.get(name, "")).isdigit():
            return replace(rule, run=int(str(inputs[name])))
    return rule


def _bound(rules: Iterable[Rule], inputs: Mapping[str, object]) -> list[Rule]:
    return [bind_rule(one, inputs) for one in rules]


def _join(kind: type[All] | type[Any], rules: list[Rule], *, decisive: Rule, idle: Rule) -> Rule:
    if decisive in rules:
        return decisive
    left = tuple(one for one in rules if one != idle)
    return idle if not left else left[0] if len(left) == 1 else kind(left)


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
