"""What a process remembers for a moment, so that a preview at every keystroke asks the database once."""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar, cast

from notifier.domain.spec import template_from_spec
from notifier.domain.template import Bank
from notifier.rendering.render import CompiledTemplate, compile_template
from notifier.store import definitions as stored
from notifier.store.database import Tx

_T = TypeVar("_T")
_KEPT_S = 20.0
_KEPT_AT_MOST = 200


class EmergencyDesk:
    """Answers of a moment ago, and compiled templates."""

    def __init__(self, keep_s: float = _KEPT_S) -> None:
        self._keep_s = keep_s
        self._kept: dict[Hashable, tuple[float, object]] = {}
        self._templates: dict[tuple[int, int], CompiledTemplate] = {}

    async def once(self, key: Hashable, ask: Callable[[], Awaitable[_T]]) -> _T:
        """What was answered to the same question a moment ago, else a new answer."""
        known = self._kept.get(key)
        if known is not None and time.monotonic() - known[0] < self._keep_s:
            return cast(_T, known[1])
        answer = await ask()
        if len(self._kept) >= _KEPT_AT_MOST:
            self._kept.clear()
        self._kept[key] = (time.monotonic(), answer)
        return answer

    async def template(self, tx: Tx, template_id: int, bank_id: int, bank: Bank) -> CompiledTemplate:
        """A version of a template; versions never change."""
        key = (template_id, bank_id)
        if key not in self._templates:
            if len(self._templates) >= _KEPT_AT_MOST:
                self._templates.clear()
            spec = (await stored.get_definition(tx, template_id)).spec
            self._templates[key] = compile_template(template_from_spec(spec), bank)
        return self._templates[key]
