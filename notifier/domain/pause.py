"""When a run is paused by itself: too much of it comes back, or is called spam."""

from dataclasses import dataclass, fields

AGAIN = 1.5
"""After a resume the same figure pauses nothing; one worse by half does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run may come to before it is paused; None: as the next in line says."""

    bounces_pct: float | None = None  # of what a provider took or refused for the recipient's sake
    complaints_pct: float | None = None  # of what a provider took
    after: int | None = None  # so many messages say nothing yet


STANDARD = Bounds(bounces_pct=2.0, complaints_pct=0.1, after=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of a run's messages in one channel."""

    taken: int  # by a provider, whatever came then
    returned: int  # of them, what came back
    rejected: int  # not taken: no such recipient
    complaints: int

    @property
    def known(self) -> int:
        """Messages of which a provider said yes or no."""
        return self.taken + self.rejected

    @property
    def bounces_pct(self) -> float:
        """*Bounce rate* = came back or rejected / taken or rejected."""
        return 100 * (self.returned + self.rejected) / self.known if self.known else 0.0

    @property
    def complaints_pct(self) -> float:
        """*Complaint rate* = complaints / taken."""
        return 100 * self.complaints / self.taken if self.taken else 0.0


def first_of(*given: Bounds | None) -> Bounds:
    """Each bound as the first says that says anything; in the end the standard."""
    layers = [one for one in (*given, STANDARD) if one is not None]
    return Bounds(
        **{
            one.name: next(value for layer in layers if (value := getattr(layer, one.name)) is not None)
            for one in fields(Bounds)
        }
    )


def passes(figure: float, bound: float | None, before: float) -> bool:
    """Whether a figure is beyond its bound, and by half beyond that for which the run was paused before."""
    assert bound is not None
    return figure > max(bound, before * AGAIN)
