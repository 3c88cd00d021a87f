"""Every error a person can meet in the console is said in both languages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.web.console.catalogues import FOLDER
from notifier.web.console.problems import say_problem

ROOT = Path(__file__).parents[2] / "notifier"
# Met by machines, on the command line or in YAML files alone; a file's mistakes are read beside its YAML.
NOT_ON_PAGES = (
    "cli",
    "demo",
    "embedded",
    "settings.py",
    "domain/notation",
    "domain/scores.py",
    "planning/definitions",
    "planning/forecast.py",
    "providers",
    "web/api",
    "web/hooks.py",
)
FIRST_WORD = {"InputError": 1, "DefinitionError": 1}
RAISED = {"Conflict", "InputError", "NotFound", "NotReleased", "Forbidden", "NotAllowed", "RenderError"}


def _messages() -> Iterator[tuple[str, str]]:
    """(where, message) of all that is raised, values as `{}`."""
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        if where.startswith(NOT_ON_PAGES):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
                for given in node.args[FIRST_WORD.get(node.func.id, 0) :]:
                    yield from ((where, message) for message in _spelled(given) if re.search(r"[a-z]{2}", message))


def _spelled(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(str(text)):
            return [text]
        case ast.JoinedStr(values):
            texts = [part.value if isinstance(part, ast.Constant) else None for part in values]
            return ["".join("{}" if text is None else str(text) for text in texts)]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_spelled(body), *_spelled(orelse)]
    return []


def _said() -> dict[str, str]:
    with (FOLDER / "problems" / "zh_CN.po").open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file) if one.id}


def test_chinese_says_every_error() -> None:
    said = {message.removesuffix(".") for message, text in _said().items() if text}
    assert sorted({f"{where}: {text}" for where, text in _messages() if text.removesuffix(".") not in said}) == []


def test_a_translation_has_a_place_for_every_value() -> None:
    for message, text in _said().items():
        count = message.count("{}")
        numbers = re.findall(r"\{(\d)\}", text)
        places = sorted(map(int, numbers)) if numbers else list(range(text.count("{}")))
        assert places == list(range(count)), message


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Conflict("run 7 is scheduled: only a draft can be submitted"), "执行 7 的状态是“已排期”，只有草稿可以提交"),
        (InputError("at", "lies in the past", "Give a time from now on"), "是过去的时间。请选择现在以后的时间。"),
        (InputError("word", "is 41 characters long", "At most 40 are allowed"), "有 41 个字符。最多 40 个。"),
        (NotFound("there is no list 'vip'"), "没有名单'vip'"),
        ("something new", "something new"),
    ],
)
def test_an_error_is_said_with_its_values(problem: object, said: str) -> None:
    assert say_problem("zh-CN", problem) == said
    field = f"{problem.field}: " if isinstance(problem, InputError) else ""
    assert say_problem("en", problem) == str(problem).removeprefix(field)
