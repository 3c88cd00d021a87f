"""Undo windows and bounds of a pause, as the bank and a campaign write them."""

from datetime import timedelta

from notifier.domain.notation.node import Value
from notifier.domain.notation.values import write_percent
from notifier.domain.pause import Bounds

LONGEST_UNDO = timedelta(hours=1)
_FEWEST, _MOST = 1, 1_000_000


def read_undo(value: Value) -> timedelta | None:
    """`undo: 30s`; None where not written."""
    found = value.duration()
    if not timedelta() <= found <= LONGEST_UNDO:
        value.fail(f"`undo: {value.data}` is out of bounds", "Write 0s to 1h")
    return found if value.given else None


def read_pause(value: Value) -> Bounds:
    """`pause: {bounces: 2%, complaints: 0.1%, after: 200}`, each of them as wanted."""
    value.fields([], ("bounces", "complaints", "after"))
    bounces, complaints, after = (value.child(name) for name in ("bounces", "complaints", "after"))
    return Bounds(
        bounces_pct=bounces.percent() if bounces.given else None,
        complaints_pct=complaints.percent() if complaints.given else None,
        after=after.whole(_FEWEST, low=_FEWEST, high=_MOST) if after.given else None,
    )


def write_pause(bounds: Bounds) -> dict[str, object]:
    """The notation that `read_pause` reads back."""
    found = {
        "bounces": write_percent(bounds.bounces_pct) if bounds.bounces_pct is not None else None,
        "complaints": write_percent(bounds.complaints_pct) if bounds.complaints_pct is not None else None,
        "after": bounds.after,
    }
    return {name: value for name, value in found.items() if value is not None}
