"""The process a template is checked and shown in: JSON on stdin, JSON on stdout, hard limits on itself."""

import json
import math
import resource
import sys
from collections.abc import Sequence
from typing import Any

from notifier.domain.channel import Channel
from notifier.domain.errors import DefinitionError, RenderError
from notifier.domain.template import Bank, Template
from notifier.rendering.carry import content_to_json, context_from_json, from_json, problem_to_json
from notifier.rendering.check import check_template
from notifier.rendering.render import CompiledTemplate, compile_template


def main() -> None:
    """Exits 0 with problems and texts; dies by signal or `MemoryError` where a template needs too much."""
    call = json.load(sys.stdin)
    _limit(call["timeout_s"], call["memory_mb"])
    template, bank = from_json(call["case"])
    problems = [problem_to_json(problem) for problem in check_template(template, bank)]
    shown = _show(template, bank, call["wanted"]) if call["wanted"] else []
    sys.stdout.write(json.dumps({"problems": problems, "shown": shown}))


def _show(template: Template, bank: Bank, wanted: Sequence[Any]) -> list[dict[str, Any]]:
    """The wanted texts; none of them where the syntax is not allowed: nothing of it runs then."""
    try:
        compiled = compile_template(template, bank)
    except DefinitionError as error:
        return [_answer(channel, locale, str(error)) for channel, locale, _ in wanted]
    return [_show_one(compiled, channel, locale, context) for channel, locale, context in wanted]


def _show_one(compiled: CompiledTemplate, channel: str, locale: str, context: dict[str, Any]) -> dict[str, Any]:
    try:
        content = compiled.render(Channel(channel), locale, context_from_json(context))
    except RenderError as error:
        return _answer(channel, locale, str(error))
    return _answer(channel, locale, "") | {"content": content_to_json(content)}


def _answer(channel: str, locale: str, problem: str) -> dict[str, Any]:
    return {"channel": channel, "locale": locale, "problem": problem, "content": None}


def _limit(timeout_s: float, memory_mb: int) -> None:
    # Starting Python counts as processor time too, and only whole seconds can be set.
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(usage.ru_utime + usage.ru_stime + timeout_s)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write but its answer, into a pipe


if __name__ == "__main__":
    main()
