"""Templates nobody has vouched for yet are checked and rendered in a process with hard limits."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.domain.channel import Channel, Content
from notifier.domain.errors import Place
from notifier.domain.template import Bank, Template
from notifier.rendering.carry import content_from_json, context_to_json, problem_from_json, to_json
from notifier.rendering.context import RenderContext
from notifier.rendering.problems import Problem

TIMEOUT_S = 2.0
MEMORY_MB = 512
_SLOW_START_S = 8.0
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TZDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One text of a template as it would be sent, or why it cannot be."""

    channel: Channel
    locale: str
    content: Content | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a template says with one set of values, and all that is wrong with it; errors first."""

    problems: tuple[Problem, ...]
    shown: tuple[Shown, ...]


def check_in_subprocess(
    template: Template, bank: Bank, *, timeout_s: float = TIMEOUT_S, memory_mb: int = MEMORY_MB
) -> list[Problem]:
    """`check_template` in a process that may use so much processor time and memory; one that needs more is refused.

    Blocks for about half a second; in a coroutine call it in a thread.
    """
    return list(look_in_subprocess(template, bank, [], timeout_s=timeout_s, memory_mb=memory_mb).problems)


def look_in_subprocess(
    template: Template,
    bank: Bank,
    wanted: Sequence[tuple[Channel, str, RenderContext]],
    *,
    timeout_s: float = TIMEOUT_S,
    memory_mb: int = MEMORY_MB,
) -> Look:
    """Check a template and render these of its texts, under the same limits and blocking as long."""
    call = {
        "timeout_s": timeout_s,
        "memory_mb": memory_mb,
        "case": to_json(template, bank),
        "wanted": [[channel.value, locale, context_to_json(context)] for channel, locale, context in wanted],
    }
    answer = _run(call, timeout_s)
    if answer is None:
        limits = f"{timeout_s:g} s or {memory_mb} MB"
        refused = Problem(
            place=Place(file=f"templates/{template.key}"),
            text=f"takes more than {limits} to render its examples",
            remedy="Make its loops and texts smaller",
        )
        return Look(problems=(refused,), shown=())
    return Look(
        problems=tuple(problem_from_json(raw) for raw in answer["problems"]),
        shown=tuple(_shown(raw) for raw in answer["shown"]),
    )


def _run(call: Mapping[str, Any], timeout_s: float) -> dict[str, Any] | None:
    """The child's answer; None where it was stopped. It gets none of this process's secrets."""
    command = [sys.executable, "-m", "notifier.rendering.check_process"]
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    try:
        # The child limits itself; this limit is the net below it and leaves room for a slow start.
        done = subprocess.run(  # noqa: S603
            command,
            input=json.dumps(call).encode(),
            capture_output=True,
            timeout=timeout_s + _SLOW_START_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return None
    answer: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return answer


def _shown(raw: Mapping[str, Any]) -> Shown:
    content = content_from_json(raw["content"]) if raw["content"] else None
    return Shown(channel=Channel(raw["channel"]), locale=raw["locale"], content=content, problem=raw["problem"])
