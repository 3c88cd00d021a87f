"""Segments, read and written."""

from notifier.domain.audience import EVERYBODY
from notifier.domain.notation.bank import write_localized
from notifier.domain.notation.node import Value
from notifier.domain.notation.rules import parse_rule, write_rule
from notifier.domain.segment import MAX_CONDITIONS, MAX_DEPTH, Segment, conditions, depth, needs_a_run

REQUIRED = ("segment", "title", "audience")


def read_segment(root: Value) -> Segment:
    """`campaigns/segments/KEY.yaml`."""
    root.fields(REQUIRED)
    at = root.child("audience")
    rule = EVERYBODY if at.data == {} else parse_rule(at)
    if needs_a_run(rule):
        at.fail("a segment cannot ask for an input of a run", "Write the value itself, or the rule in the campaign")
    elif depth(rule) > MAX_DEPTH:
        at.fail(f"is nested deeper than {MAX_DEPTH}", "Make it flatter, or split it into two segments")
        rule = EVERYBODY
    elif sum(1 for _ in conditions(rule)) > MAX_CONDITIONS:
        at.fail(f"has more than {MAX_CONDITIONS} conditions", "Import a list and ask for that, or split it")
    return Segment(key=root.child("segment").key(), title=root.child("title").localized(), audience=rule)


def write_segment(segment: Segment) -> dict[str, object]:
    """The notation that `read_segment` reads back as the same segment."""
    return {
        "segment": segment.key,
        "title": write_localized(segment.title),
        "audience": write_rule(segment.audience),
    }
