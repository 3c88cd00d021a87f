"""What commands print: results on standard output, words for people on standard error."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from notifier.domain.errors import DefinitionError

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def say(text: str = "") -> None:
    """A line of the result."""
    typer.echo(text)


def note(text: str) -> None:
    """A line for the person, not the script."""
    typer.echo(text, err=True)


def complain(text: str) -> None:
    """What went wrong."""
    first, *rest = text.splitlines() or ["it failed"]
    typer.echo(typer.style("error: ", fg="red", bold=True) + first, err=True)
    for line in rest:
        typer.echo(f"  {line}", err=True)


def say_json(value: object) -> None:
    """The result for a script: one JSON document."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    typer.echo(orjson.dumps(value, default=str, option=options).decode(), nl=False)


def say_table(titles: Sequence[str], rows: Sequence[Sequence[object]], numbers: Sequence[str] = ()) -> None:
    """A table; columns named in `numbers` stand to the right. Nothing is cut where output is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_spell(cell)) for cell in row))
    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = 400
    console.print(table)


def _spell(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def describe_counts(counts: Mapping[str, int]) -> str:
    """`accepted 40, delivered 1,200`."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def problem_of(error: DefinitionError) -> dict[str, object]:
    """A definition's error for a script."""
    place = error.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "problem": error.problem,
        "remedy": error.remedy,
    }


def confirm(question: str, *, yes: bool) -> None:
    """Go on only where the person says so; without a terminal `--yes` has to say it before."""
    if yes:
        return
    if not sys.stdin.isatty():
        complain("nobody is here to confirm. Repeat the command with --yes")
        raise typer.Exit(WRONG_USAGE)
    if not typer.confirm(question, err=True):
        note("Nothing was done.")
        raise typer.Exit(FAILED)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner while something takes seconds; nothing where standard error is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A bar on standard error; invisible where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns,
        TextColumn("{task.fields[rows]:,}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        bar.add_task(what, total=1.0, rows=0)
        yield bar
