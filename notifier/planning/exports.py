"""Files with personal data leave the house by name: who took which stands in the audit."""

from notifier.domain.person import Person
from notifier.store import imports
from notifier.store.access import add_audit
from notifier.store.database import Tx
from notifier.store.views.runs import get_run_line


async def take_errors(tx: Tx, team_id: int, import_id: int, *, by: Person) -> bytes:
    """The rows of a file that were not taken, as CSV; `NotFound` where nothing was wrong."""
    data = await imports.get_errors(tx, team_id, import_id)
    await add_audit(tx, team_id, actor=by.name, act="import.errors_exported", subject=f"import:{import_id}", detail={})
    return data


async def begin_calling(tx: Tx, team_id: int, run_id: int, *, by: Person) -> None:
    """Somebody takes the list of whom nothing of the run got through to; `NotFound` where the team has no such run."""
    await get_run_line(tx, team_id, run_id)
    await add_audit(tx, team_id, actor=by.name, act="run.not_reached_exported", subject=f"run:{run_id}", detail={})
