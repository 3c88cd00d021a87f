"""Launch: draft and submit in one, and let out at once what needs no second person."""

from notifier.domain.person import Person
from notifier.planning.draft import Draft, draft_run
from notifier.planning.release import release_facts, release_run, submit_run
from notifier.store.database import Tx
from notifier.store.runs import Run


async def launch_campaign(tx: Tx, *, team_id: int, draft: Draft, by: Person) -> Run:
    """A submitted run; a scheduled one where it can reach neither a customer nor the public.

    `InputError`, `NotFound` or `Conflict` say what is wrong.
    """
    run = await draft_run(tx, team_id=team_id, draft=draft, by=by)
    run = await submit_run(tx, run.id, by)
    found = await release_facts(tx, run)
    if not found.needs_second:
        run = await release_run(tx, run.id, by, hash=found.hash)
    return run
