"""Who acts: a user in a role, an API key for its user, or the schedule; and what a role may do."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a user is there for; each line says what is more than looking."""

    VIEWER = "viewer"  # nothing
    AUDITOR = "auditor"  # reads the audit trail
    AUTHOR = "author"  # writes, drafts, submits, tests, imports, stops
    APPROVER = "approver"  # what an author does; releases what others made
    OPERATOR = "operator"  # what an author does; accounts and messages in trouble
    ADMIN = "admin"  # everything, and users and keys


ACTING = frozenset({Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN})
RELEASING = frozenset({Role.APPROVER, Role.ADMIN})
RESUMING = frozenset({Role.APPROVER, Role.OPERATOR, Role.ADMIN})  # what a stop above a run holds
AUDITING = frozenset({Role.AUDITOR, Role.APPROVER, Role.ADMIN})
ADMINISTERING = frozenset({Role.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who does something. `user_id` is what four eyes compare: a key stands for the user it was made for."""

    name: str  # as the audit names them: a login, `api-key:3`, `schedule`
    user_id: int | None = None  # None: no person, as a schedule or a key of a system
    role: Role | None = None

    def may(self, roles: frozenset[Role]) -> bool:
        """Whether their role is one of these."""
        return self.role in roles


SCHEDULE = Person(name="schedule")
