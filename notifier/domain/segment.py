"""A segment: an audience rule saved under a name, for runs to narrow their audience by."""

from collections.abc import Iterator
from dataclasses import dataclass

from notifier.domain.audience import All, Answered, Any, Attribute, History, InputIs, InputRef, Not, Rule
from notifier.domain.text import Localized

MAX_CONDITIONS = 100
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """`campaigns/segments/KEY.yaml`. Its rule depends on contacts alone: no run's input is known to it."""

    key: str
    title: Localized
    audience: Rule


def conditions(rule: Rule) -> Iterator[Rule]:
    """Every condition of a rule, without the words that join them."""
    match rule:
        case All(rules) | Any(rules):
            for one in rules:
                yield from conditions(one)
        case Not(inner):
            yield from conditions(inner)
        case _:
            yield rule


def depth(rule: Rule) -> int:
    """How deep a rule is nested; a single condition is 1."""
    match rule:
        case All(rules) | Any(rules):
            return 1 + max((depth(one) for one in rules), default=0)
        case Not(inner):
            return 1 + depth(inner)
        case _:
            return 1


def needs_a_run(rule: Rule) -> bool:
    """Whether it means something only while a run is planned: inputs, answers given in the same run."""
    return any(_needs_a_run(one) for one in conditions(rule))


def _needs_a_run(rule: Rule) -> bool:
    match rule:
        case InputIs():
            return True
        case Attribute(_, _, operand):
            return isinstance(operand, InputRef)
        case History():
            return isinstance(rule.run, InputRef)
        case Answered():
            return rule.same_run
        case _:
            return False
