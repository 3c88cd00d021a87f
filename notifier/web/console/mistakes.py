"""What is wrong with a form: the status of the answer and the field that is marked."""

from notifier.domain.errors import Conflict, InputError

Problem = InputError | Conflict


def status_of(problem: Problem | None) -> int:
    """422 for a value that is wrong, 409 for what contradicts what already happened."""
    if problem is None:
        return 200
    return 422 if isinstance(problem, InputError) else 409


def field_of(problem: Problem | None) -> str:
    """The field that is wrong; a conflict is about none."""
    if problem is None:
        return ""
    return problem.field if isinstance(problem, InputError) else "conflict"
