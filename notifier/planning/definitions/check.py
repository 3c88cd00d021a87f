"""Checks a whole folder of definitions: each file, what they name, accounts, and the words of templates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from notifier.domain.account import Account
from notifier.domain.errors import DefinitionError, DefinitionErrors, InputError, Place
from notifier.domain.notation.source import Trail
from notifier.domain.template import Bank, Template
from notifier.planning.definitions.folder import Definitions, Entry, Reading, read_folder
from notifier.planning.definitions.references import check_references
from notifier.providers.registry import check_account
from notifier.rendering.bounded import check_in_subprocess
from notifier.rendering.problems import Problem, Severity

TemplateCheck = Callable[[Template, Bank], list[Problem]]

_AT_ONCE = 2  # each check is a process of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """All that is wrong, all that is worth a look, and the definitions as far as they could be read."""

    errors: tuple[DefinitionError, ...]
    remarks: tuple[DefinitionError, ...]
    definitions: Definitions | None  # None: the bank could not be read

    @property
    def ok(self) -> bool:
        """Whether the folder can be applied."""
        return not self.errors and self.definitions is not None

    def require(self) -> Definitions:
        """The definitions, or `DefinitionErrors` with every error."""
        if self.errors or self.definitions is None:
            raise DefinitionErrors(self.errors)
        return self.definitions


def check_folder(root: Path, *, check_template: TemplateCheck = check_in_subprocess) -> CheckReport:
    """Everything wrong in a folder, by file and line. Blocks for seconds: in a coroutine call it in a thread."""
    reading = read_folder(root)
    check_references(reading)
    for account in reading.accounts.values():
        _check_account(account)
    remarks = check_words(reading, check_template)
    found = reading.definitions()
    if found is not None:
        remarks += _advise(found)
        reading.errors += [error for entry in found.entries() for error in entry.source.errors]
    return CheckReport(
        errors=DefinitionErrors(dict.fromkeys(reading.errors)).errors,
        remarks=DefinitionErrors(remarks).errors,
        definitions=found,
    )


def _check_account(entry: Entry[Account]) -> None:
    try:
        check_account(entry.value)
    except InputError as error:
        trail: Trail = tuple(error.field.split("."))
        entry.source.add(trail, f"`{error.field}` {error.problem}", error.remedy)


def check_words(reading: Reading, check: TemplateCheck) -> list[DefinitionError]:
    """Checks the words of every template; adds errors to the reading, returns the remarks."""
    if reading.bank is None:
        return []
    bank, entries = reading.bank.value, list(reading.templates.values())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda entry: check(entry.value, bank), entries))
    remarks: list[DefinitionError] = []
    for entry, problems in zip(entries, found, strict=True):
        for problem in problems:
            into = remarks if problem.severity is Severity.REMARK else reading.errors
            into.append(_located(entry, problem))
    return remarks


def _located(entry: Entry[Template], problem: Problem) -> DefinitionError:
    """A problem of rendering under the file's name in the folder; subjects stand in template.yaml."""
    name = problem.place.file.removeprefix("templates/").removeprefix(f"{entry.key}/")
    if name.startswith("subject."):
        place = entry.source.place(("subject", name.removeprefix("subject.")))
    elif name == "template.yaml":
        place = _named_place(entry, problem)
    else:
        below = name if name.startswith("_") else f"{entry.key}/{name}"
        place = Place(file=f"templates/{below}", line=problem.place.line, column=problem.place.column)
    return DefinitionError(place, problem.text, problem.remedy)


def _named_place(entry: Entry[Template], problem: Problem) -> Place:
    """The line of the variable a problem speaks of, else the file."""
    for path in entry.value.variables:
        if f"`{path}`" in problem.text or f"'{path}'" in problem.text:
            return entry.source.place(("variables", path), key=True)
    return entry.source.place(())


def _advise(found: Definitions) -> list[DefinitionError]:
    """Inputs that previews and the demo cannot fill."""
    return [
        DefinitionError(
            entry.source.place(("inputs", name), key=True),
            f"the input `{name}` has no example",
            "Write `example: …`, so that previews can show the message",
        )
        for entry in found.campaigns.values()
        for name, given in entry.value.inputs.items()
        if given.example is None and given.default is None and given.type.value != "run"
    ]
