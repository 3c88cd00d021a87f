"""Lines are one line, carry facts, and never an address, number or token."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.links import LinkKind, message_token, sign_link
from notifier.domain.message import MessageId, RunId
from notifier.logs import MASK, configure_logs, get_logger, mask, mask_event

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "private",
    [
        "li.wei@example.com",
        "Li.Wei+bank@mail.example.co.uk",
        "张伟@example.com",
        "+12125550123",
        "+1 212-555-0123",
        "+86 138 0013 8000",
        "13800138000",
        sign_link(KEY, LinkKind.SURVEY, 202602000001, 7),
        message_token(KEY, RunId(202602000001), MessageId(99)),
        "postgresql://user:pass@host",
        "Bearer abcdefgh12345678",
    ],
)
def test_private_text_is_masked_inside_a_sentence(private: str) -> None:
    masked = mask(f"could not send to {private}, tried twice")
    assert private not in masked
    assert MASK in masked
    assert masked.startswith("could not send to ")
    assert masked.endswith(", tried twice")


@pytest.mark.parametrize(
    "harmless",
    [
        "delivery.batch_recorded",
        "run 202602000001 of 9043 recipients",
        "2026-02-02T09:00:00.123456Z",
        "127.0.0.1:8000",
        "/var/lib/notifier/1bc206accfc7/run",
        "postgresql+asyncpg://notifier@/notifier?host=/run/postgres",
        "https://www.riverside-bank.example/hours",
        "95 of 100 at 12.5 ms",
    ],
)
def test_facts_stay_readable(harmless: str) -> None:
    assert mask(harmless).replace("***@/", "notifier@/") == harmless


def test_values_are_masked_at_any_depth_and_by_name() -> None:
    event = {
        "event": "x.y",
        "count": 64,
        "password": "hunter2",
        "to": ["a@example.com", {"inner": b"b@example.com"}],
        "error": ValueError("no mailbox c@example.com"),
    }
    masked = mask_event(None, "info", event)
    assert masked == {
        "event": "x.y",
        "count": 64,
        "password": MASK,
        "to": [MASK, {"inner": MASK}],
        "error": f"no mailbox {MASK}",
    }


@given(st.text())
def test_no_text_can_start_a_new_line(text: str) -> None:
    assert len(mask(text + "\r\nforged: line").split("\n")) == 1
    assert "\r" not in mask(text)


def test_json_lines_carry_facts_and_no_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form="json", level="info")
    with structlog.contextvars.bound_contextvars(run=202602000001):
        get_logger().info("delivery.sent", to="a@example.com", count=64)
        logging.getLogger("other.library").warning("gave up on %s", "b@example.com\nforged")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["run"], first["count"], first["to"]) == ("delivery.sent", 202602000001, 64, MASK)
    assert (second["event"], second["level"]) == (f"gave up on {MASK}\\nforged", "warning")


def test_an_exception_is_one_masked_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form="json", level="info")
    try:
        raise ValueError("no mailbox a@example.com")
    except ValueError:
        get_logger().exception("delivery.failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "a@example.com" not in line
    assert "ValueError" in json.loads(line)["exception"]


def test_the_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form="console", level="warning")
    get_logger().info("web.started")
    get_logger().warning("web.slowed")
    written = capsys.readouterr().err
    assert "web.started" not in written
    assert "web.slowed" in written


def test_lines_before_the_configuration_do_not_pollute_standard_output() -> None:
    code = "from notifier.logs import get_logger; get_logger().warning('early', to='a@example.com')"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert not done.stdout
    assert "early" in done.stderr
    assert "a@example.com" not in done.stderr
