"""The page about the command line names commands and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from notifier.cli.app import app
from tests.cli.conftest import Run

_PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
_LINES = re.findall(r"^    (notifier [^#\n]+)", _PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", _LINES)
def test_every_line_of_the_page_is_understood(run: Run, line: str) -> None:
    words = shlex.split(line.split(" > ", maxsplit=1)[0])[1:]
    command = words[:2] if words[0] in {group.name for group in app.registered_groups} else words[:1]
    said = run(*command, "--help")
    assert said.code == 0
    for option in (word for word in words if word.startswith("-")):
        assert option in said.out
