"""What is wrong with a form: the status of the answer, the field that is marked, and the words beside it."""

from notifier.domain.errors import Conflict, InputError, NotifierError
from notifier.web.console.words import Words

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


def say_problem(problem: NotifierError | None, t: Words) -> str:
    """What is wrong and what to do, in the reader's language; without the name of a field nobody sees."""
    if not isinstance(problem, InputError):
        return t(str(problem)) if problem else ""
    return t(". ").join(t(part) for part in (problem.problem, problem.remedy) if part)
