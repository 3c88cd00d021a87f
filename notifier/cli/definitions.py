"""Commands for definition files: begin, check, apply, and help an editor."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from notifier.cli.door import describe, read_folder_settings, who, with_rows
from notifier.cli.show import WRONG_USAGE, complain, confirm, note, problem_of, say, say_json, working
from notifier.domain.errors import DefinitionErrors, InputError, ServiceError
from notifier.domain.spec import Kind
from notifier.planning.apply import apply_definitions
from notifier.planning.definitions.check import CheckReport, check_folder
from notifier.planning.definitions.folder import Definitions
from notifier.planning.definitions.schema import json_schema
from notifier.planning.difference import Difference, find_differences
from notifier.settings import Settings, starter_dir
from notifier.store.database import Database

_PANEL = "Definitions"
_SHOWN_LINES = 40
_SIGNS = {"added": "+", "changed": "~", "retired": "-", "taken-back": "<", "kept": "="}
Folder = Annotated[
    Path | None,
    typer.Argument(
        help="Folder with `campaigns/` and `templates/`; else NOTIFIER_DEFINITIONS_DIR or this folder.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What `apply` was told."""

    dry_run: bool
    yes: bool
    as_json: bool
    take_back: bool


def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it; made if missing.")]) -> None:
    """Copy the starter pack out: a bank, its accounts, surveys, campaigns and templates to begin from.

    - `notifier init bank` then edit `bank/campaigns/bank.yaml`

    - `notifier check bank` says what is wrong, `notifier apply bank` takes it into use
    """
    for name in ("campaigns", "templates"):
        if (directory / name).exists():
            raise InputError(str(directory / name), "exists already", "Choose another folder; nothing was written")
    source = starter_dir()
    try:
        for name in ("campaigns", "templates"):
            shutil.copytree(source / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    except OSError as error:
        raise ServiceError(f"cannot write {directory}: {error.strerror or error}") from error
    say(f"The starter pack is in {directory}.")
    note(f"Next: edit {directory / 'campaigns' / 'bank.yaml'}, then `notifier check {directory}`.")


def check(directory: Folder = None, as_json: AsJson = False) -> None:
    """Say everything that is wrong in a folder of definitions: file, line, column, and what to write instead.

    Checks the files, what they name, the accounts' settings, and renders every template with its examples. Needs no
    database. Exit code 2 where something is wrong; remarks alone do no harm.

    - `notifier check bank`

    - `notifier check --json | jq '.errors[].file'`
    """
    root = _root(directory)
    with working("checking …"):
        report = check_folder(root)
    if as_json:
        _say_report_json(root, report)
    else:
        _say_report(root, report)
    if not report.ok:
        raise typer.Exit(WRONG_USAGE)


def _root(directory: Path | None) -> Path:
    return directory or read_folder_settings().definitions


def _say_report_json(root: Path, report: CheckReport) -> None:
    say_json(
        {
            "folder": str(root),
            "ok": report.ok,
            "errors": [problem_of(error) for error in report.errors],
            "remarks": [problem_of(remark) for remark in report.remarks],
            "found": _count(report.definitions),
        }
    )


def _say_report(root: Path, report: CheckReport) -> None:
    for remark in report.remarks:
        say(f"remark: {remark}")
    if report.ok:
        counts = ", ".join(f"{count} {kind}" for kind, count in _count(report.definitions).items())
        say(f"{root}: no errors ({counts})")
    else:
        complain(describe(DefinitionErrors(report.errors)))


def _count(found: Definitions | None) -> dict[str, int]:
    if found is None:
        return {}
    return {
        "campaigns": len(found.campaigns),
        "templates": len(found.templates),
        "surveys": len(found.surveys),
        "accounts": len(found.accounts),
        "segments": len(found.segments),
    }


def apply(
    directory: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the difference, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Also where the console edits it by now: the files win again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take a folder of definitions into use: prints the difference, asks, then stores new versions.

    What did not change gets no new version, so applying twice does nothing. Runs that exist keep the versions they
    were launched with. What its file no longer defines is retired, never deleted. What somebody took over in the
    console is left alone, and said to be.

    - `notifier apply bank --dry-run` shows what would change

    - `notifier apply bank --yes` in a pipeline

    - `notifier apply bank --take-back` after the console's words were exported into the files
    """
    root = _root(directory)
    with working("checking …"):
        found = check_folder(root).require()
    told = _Told(dry_run=dry_run, yes=yes, as_json=as_json, take_back=take_back)
    differences = with_rows(lambda settings, database: _apply(settings, database, found, told))
    if as_json:
        acts = [{"act": one.change.act, "kind": one.change.kind, "key": one.change.key} for one in differences]
        say_json({"changes": acts, "applied": not dry_run})


async def _apply(_settings: Settings, database: Database, found: Definitions, told: _Told) -> list[Difference]:
    differences = await find_differences(database, found, take_back=told.take_back)
    count = sum(one.change.does_something for one in differences)
    if not told.as_json:
        _say_differences(differences, count)
    if count and not told.dry_run:
        confirm(f"Apply {count} changes?", yes=told.yes)
        await apply_definitions(database, found, take_back=told.take_back, by=who())
        note(f"Applied {count} changes.")
    return differences


def _say_differences(differences: list[Difference], count: int) -> None:
    for one in differences:
        change = one.change
        say(f"{_SIGNS[change.act]} {change.act:7} {change.kind:9} {change.key}  ({change.file})")
        if change.act == "kept":
            say("    remark: edited in the console; left as it is there. `--take-back` lets the file win")
        for line in one.lines[:_SHOWN_LINES]:
            say(f"    {line}")
        if len(one.lines) > _SHOWN_LINES:
            say(f"    … {len(one.lines) - _SHOWN_LINES} more lines")
    if not count:
        say("Nothing to change.")


def schema(
    kind: Annotated[Kind, typer.Argument(help="What the file defines.", show_default=False)],
) -> None:
    """Print the JSON Schema of a kind of definition file, for an editor to complete and check while you type.

    - `notifier schema campaign > campaign.schema.json`, then begin a file with
      `# yaml-language-server: $schema=../campaign.schema.json`
    """
    say_json(json_schema(kind))


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    for command in (init, check, apply, schema):
        app.command(rich_help_panel=_PANEL)(command)
