"""What a demo can be told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Options of `notifier demo`."""

    once: bool = False  # move the clock until every message is final, print a summary, exit
    reset: bool = False  # forget the data of earlier demos
    contacts: Path | None = None  # a file instead of the synthetic contacts
    synthesize_addresses: bool = False
    as_json: bool = False
