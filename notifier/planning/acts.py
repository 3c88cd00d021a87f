"""Acts: what a person may do with a run that is reviewed, so that a page offers nothing that would be refused."""

from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.person import ACTING, RELEASING, Person
from notifier.domain.run import OPEN, RunState
from notifier.planning.release import ReleaseFacts
from notifier.store.releases import Release
from notifier.store.runs import Run


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
    return by.may(RELEASING) and by.user_id is not None and by.user_id not in {release.user_id, *release.authors}


def possible_acts(run: Run, facts: ReleaseFacts | None, by: Person) -> Acts:
    """As `submit_run`, `release_run` and the others decide; `facts` None: what it does cannot be reckoned yet."""
    acting, is_standing = by.may(ACTING), run.kind == "standing"
    submitted = run.state == RunState.SUBMITTED and facts is not None
    hindrance = _hindrance(run, facts, by) if run.state == RunState.SUBMITTED else None
    return Acts(
        edit=acting and run.state in OPEN and not is_standing,
        submit=acting and run.state == RunState.DRAFT and facts is not None,
        give_back=acting and run.state == RunState.SUBMITTED and not is_standing and by.user_id not in run.authors,
        release=submitted and hindrance is None,
        break_glass=acting and hindrance is not None and facts is not None and _may_break_glass(facts, by),
        test=acting and run.state not in {RunState.ENDED, RunState.CANCELLED},
        hindrance=hindrance,
    )


def _may_break_glass(facts: ReleaseFacts, by: Person) -> bool:
    return facts.alone and by.user_id is not None and by.user_id not in facts.writers


def _hindrance(run: Run, facts: ReleaseFacts | None, by: Person) -> Hindrance | None:
    if facts is None:
        return Hindrance.UNKNOWN
    if by.user_id is None or not by.may(RELEASING if facts.needs_second else ACTING):
        return Hindrance.ROLE
    if facts.needs_second and by.user_id in run.authors:
        return Hindrance.AUTHOR
    return None
