"""The command line as a whole: help, versions, exit codes, errors in words."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from notifier.cli.app import app
from notifier.cli.door import CommandGroup
from notifier.cli.serve import read_lanes
from notifier.domain.errors import InputError
from tests.cli.conftest import Run


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


@pytest.mark.parametrize("path", list(_commands(get_command(app))), ids=" ".join)
def test_every_command_explains_itself(run: Run, path: tuple[str, ...]) -> None:
    said = run(*path, "--help")
    assert said.code == 0
    assert "Usage:" in said.out


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out.startswith("notifier ")


@pytest.mark.parametrize("arguments", [("nonsense",), ("inspect", "score"), ("worker", "--lanes", "9")])
def test_wrong_usage_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    said = run(*arguments)
    assert said.code == 2
    assert "Traceback" not in said.err


def test_a_server_that_cannot_be_reached_is_named_with_its_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port}/none")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port}/0")
    said = run("user", "list")
    assert said.code == 1
    assert "DATABASE_URL" in said.err
    assert "Traceback" not in said.err


def test_a_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEB_PORT", "many")
    said = run("user", "list")
    assert said.code == 2
    assert "NOTIFIER_WEB_PORT" in said.err


def test_a_taken_port_is_said_before_anything_starts(run: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = run("web", "--port", str(other.getsockname()[1]))
    assert said.code == 1
    assert "--port" in said.err


def test_a_defect_is_words_and_an_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stumbling = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)

    @stumbling.command()
    def fall() -> None:
        raise ZeroDivisionError("of all things")

    @stumbling.command()
    def stop() -> None:
        raise KeyboardInterrupt

    from typer.testing import CliRunner

    fallen = CliRunner().invoke(stumbling, ["fall"])
    assert fallen.exit_code == 1
    assert "ZeroDivisionError: of all things" in fallen.stderr
    assert CliRunner().invoke(stumbling, ["stop"]).exit_code == 130
    monkeypatch.setenv("NOTIFIER_LOG_LEVEL", "debug")
    assert isinstance(CliRunner().invoke(stumbling, ["fall"]).exception, ZeroDivisionError)


def test_lanes_are_read_in_order() -> None:
    assert read_lanes("2, 1") == (1, 2)
    with pytest.raises(InputError):
        read_lanes("")


def test_parts_of_a_text_message_are_counted(run: Run) -> None:
    assert run("inspect", "sms", "x" * 161, "--json").json["parts"] == 2
    chinese = run("inspect", "sms", "-", given="尊敬的客户\n")
    assert "1 part, UCS-2" in chinese.out
    assert "尊" in chinese.out
    assert "made plain" in run("inspect", "sms", "it’s").out


def test_a_score_says_how_sure_it_is(run: Run) -> None:
    said = run("inspect", "score", "--satisfied", "176", "--answers", "200", "--json")
    assert said.json["value_pct"] == 88.0
    assert said.json["verdict"] == "too-close-to-say"
    text = run("inspect", "score", "--satisfied", "190", "--answers", "200").out
    assert "target 85 %: met" in text
    assert "no score" in run("inspect", "score", "--satisfied", "0", "--answers", "0").out
    assert run("inspect", "score", "--satisfied", "3", "--answers", "2").code == 2
