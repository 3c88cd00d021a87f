"""Who types what the README says, line by line, ends with a first campaign that is on its way."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import PASSWORD, Run
from tests.test_docs import README, blocks, first_campaign

__all__ = ["first_campaign"]
_CONFIRMED = {"apply", "launch"}


def _walk() -> list[list[str]]:
    """The lines from the look at the folder to the start of the house."""
    text = next(block for block in blocks(README, "sh") if "notifier check" in block)
    lines = [shlex.split(line, comments=True)[1:] for line in text.splitlines()]
    return [words for words in lines if words != ["up"]]


def test_the_walk_is_there() -> None:
    acts = [" ".join(words[:2]) for words in _walk()]
    assert [act for act in acts if act.startswith(("campaign", "user"))] == [
        "user add",
        "user add",
        "campaign launch",
        "campaign release",
    ]


def test_the_first_campaign_of_the_readme_goes_out(
    run_on_servers: Run, first_campaign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(first_campaign)
    number = ""
    for words in _walk():
        typed = [number if word == "RUN" else word for word in words]
        more = ["--yes"] if _CONFIRMED & set(words) else []
        if "release" in words:
            seen = run_on_servers("campaign", "release", number, "--look", "--json").json["hash"]
            more = ["--hash", seen, "--yes"]
        said = run_on_servers(*typed, *more, given=f"{PASSWORD}\n")
        assert said.code == 0, f"{words}: {said.err}"
        if "launch" in words:
            found = re.search(r"^Run (\d+) of hello is submitted", said.out, re.MULTILINE)
            assert found, said.out
            number = found[1]
    assert run_on_servers("campaign", "status", number, "--json").json["state"] == "scheduled"
