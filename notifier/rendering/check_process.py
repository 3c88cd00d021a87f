"""The process a template is checked in: JSON on stdin, problems as JSON on stdout, hard limits on itself."""

import json
import math
import resource
import sys

from notifier.rendering.carry import from_json, problems_to_json
from notifier.rendering.check import check_template


def main() -> None:
    """Exits 0 with the problems; dies by signal or `MemoryError` where a template needs too much."""
    call = json.load(sys.stdin)
    _limit(call["timeout_s"], call["memory_mb"])
    template, bank = from_json(call["case"])
    sys.stdout.write(problems_to_json(check_template(template, bank)))


def _limit(timeout_s: float, memory_mb: int) -> None:
    # Starting Python counts as processor time too, and only whole seconds can be set.
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(usage.ru_utime + usage.ru_stime + timeout_s)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
