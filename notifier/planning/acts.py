"""Acts: what a person may do with a run that is reviewed, so that a page offers nothing that would be refused."""

from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.person import ACTING, RELEASING, Person
from notifier.domain.purpose import Purpose
from notifier.domain.run import RunState
from notifier.planning.review import Review
from notifier.store.releases import Release


class Hindrance(StrEnum):
    """Why somebody who looks at a submitted run cannot release it."""

    AUTHOR = "author"  # they made or changed it
    ROLE = "role"  # their role releases nothing
    UNKNOWN = "unknown"  # what it does cannot be reckoned yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """What is offered; the stages check again. `hindrance` None: it can be released, or it is not its time."""

    edit: bool
    submit: bool
    give_back: bool
    release: bool
    break_glass: bool
    test: bool
    hindrance: Hindrance | None


def may_review(release: Release, by: Person) -> bool:
    """As `review_break_glass` decides, of a release that waits for it."""
    return by.may(RELEASING) and by.user_id is not None and by.user_id != release.user_id


def possible_acts(review: Review, by: Person) -> Acts:
    """As `submit_run`, `release_run` and the others decide."""
    run, acting = review.run, by.may(ACTING)
    submitted = run.state == RunState.SUBMITTED and review.facts is not None
    hindrance = _hindrance(review, by) if run.state == RunState.SUBMITTED else None
    return Acts(
        edit=acting and review.is_open and not review.is_standing,
        submit=acting and run.state == RunState.DRAFT and review.facts is not None,
        give_back=acting
        and run.state == RunState.SUBMITTED
        and not review.is_standing
        and by.user_id not in run.authors,
        release=submitted and hindrance is None,
        break_glass=submitted and acting and hindrance is not None and run.purpose == Purpose.EMERGENCY,
        test=acting and run.state not in {RunState.ENDED, RunState.CANCELLED},
        hindrance=hindrance,
    )


def _hindrance(review: Review, by: Person) -> Hindrance | None:
    if review.facts is None:
        return Hindrance.UNKNOWN
    if by.user_id is None or not by.may(RELEASING if review.facts.needs_second else ACTING):
        return Hindrance.ROLE
    if review.facts.needs_second and by.user_id in review.run.authors:
        return Hindrance.AUTHOR
    return None
