"""How lines are written: facts as keys, JSON in production, nobody's address in any of them."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog

MASK = "***"
_EMAIL = re.compile(r"[^\s@<>\"'(),;:=\[\]{}]+@(?:[\w-]+\.)+\w{2,}|[^\s@<>\"'(),;:=\[\]{}]+@localhost\b")
_PHONE = re.compile(r"(?<![\w.\-/:])(?:\+\d[\d \-()]{6,18}\d|1[3-9]\d{9})(?![\w\-/:])")
_TOKEN = re.compile(r"\b[mslup]\.[0-9a-z.]+\.[A-Za-z0-9_-]{16}(?![A-Za-z0-9_-])")
_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<word>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PRIVATE_KEYS = frozenset(
    {"password", "secret", "secret_key", "token", "api_key", "authorization", "cookie", "email", "phone", "address"}
)
_CONTROL = {ord("\r"): "\\r", ord("\n"): "\\n"} | {code: f"\\x{code:02x}" for code in (0, 27, 0x85)}

EventDict = structlog.typing.EventDict


def configure_logs(*, form: str, level: str) -> None:
    """Sets up structlog and the standard library's logging: both end in the same lines on stderr, "json" or "console"."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_event,
    ]
    is_json = form == "json"
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False) if is_json else _console()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for talkative in ("httpx", "httpcore", "asyncio", "twilio", "arq", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def get_logger(name: str = "notifier") -> structlog.stdlib.BoundLogger:
    """A logger; events read `room.verb_past`, facts are keys: `log.info("delivery.sent", run=7, count=64)`."""
    if not structlog.is_configured():
        _configure_quietly()
    return structlog.stdlib.get_logger(name)


def mask_event(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Masks addresses, numbers, tokens and credentials in every value and keeps each event on one line."""
    return {key: _masked(key, value) for key, value in event.items()}


def mask(text: str) -> str:
    """`text` without e-mail addresses, telephone numbers, signed tokens and credentials, on one line."""
    text = _CREDENTIALS.sub(rf"\g<scheme>{MASK}@", text)
    text = _BEARER.sub(rf"\g<word> {MASK}", text)
    text = _TOKEN.sub(MASK, text)
    text = _EMAIL.sub(MASK, text)
    text = _PHONE.sub(MASK, text)
    return text.translate(_CONTROL)


def _masked(key: str, value: Any) -> Any:
    if key.startswith("_"):  # structlog's own bookkeeping
        return value
    if key.lower() in _PRIVATE_KEYS:
        return MASK
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, Mapping):
        return {mask(str(inner)): _masked(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    return mask(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def _console() -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)


def _configure_quietly() -> None:
    """Until a door sets logs up: warnings alone, masked, on stderr; standard output belongs to the program."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            mask_event,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
