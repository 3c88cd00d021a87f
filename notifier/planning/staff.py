"""Who may make staff of customers: a run for staff alone needs no second person, so staff must be staff."""

from collections.abc import Sequence

from notifier.domain.errors import Forbidden
from notifier.domain.person import ADMINISTERING, Person
from notifier.store.contact_batches import ContactRow
from notifier.store.customers import find_customers
from notifier.store.database import Tx

IS_CUSTOMER = "is a customer already; only an administrator makes customers staff"


def may_make_staff(by: Person) -> bool:
    """Administrators and the bank's own systems."""
    return by.may(ADMINISTERING) or (by.user_id is None and by.role is None)


async def check_staff(tx: Tx, team_id: int, row: ContactRow, *, by: Person) -> None:
    """`Forbidden` where the row would make staff of a customer and they may not."""
    if not may_make_staff(by) and await find_customers(tx, team_id, [row], says_kind=True):
        raise Forbidden("this contact is a customer already; only an administrator makes customers staff")


async def customers_among(
    tx: Tx, team_id: int, rows: Sequence[ContactRow], fields: frozenset[str], *, may: bool
) -> set[str]:
    """External ids of the rows of a file that are not to be taken; `fields` are those the file speaks about."""
    return set() if may else await find_customers(tx, team_id, rows, says_kind="kind" in fields)
