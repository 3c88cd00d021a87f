"""Measure everything in one run, print a table, write JSON where `BENCH_JSON` names a file."""

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import postfix
from benchmarks.emergency import measure_emergency
from benchmarks.house import House, open_house
from benchmarks.stages import measure_email, measure_import, measure_planning, peaks, say
from benchmarks.steps import measure_steps

EMAILS, AUDIENCE, IMPORT_ROWS, EMERGENCIES = 16_000, 1_000_000, 200_000, 200
STAGES = ("email", "steps", "plan", "emergency", "import")
_KEYS = (
    "email_per_s",
    "smtp_source_per_s",
    "email_ratio",
    "smtp_source_d_per_s",
    "email_20ms_per_s",
    "cpu_us_per_message",
    "plan_rows_per_s",
    "plan_1m_rows_per_s",
    "plan_peak_mb",
    "emergency_p99_ms",
    "import_rows_per_s",
)


def main() -> None:
    """Measure what the environment asks for."""
    argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        epilog="BENCH_SCALE=0.05 makes everything smaller, BENCH_STAGES=" + ",".join(STAGES) + " leaves stages out, "
        "BENCH_JSON=FILE keeps the figures, BENCH_PROFILE=FILE profiles the senders. All of it takes about ten minutes.",
    ).parse_args()
    for name in ("DATABASE_URL", "REDIS_URL"):  # tables are emptied: never those of an installation
        os.environ.pop(name, None)
    stages = tuple(os.environ.get("BENCH_STAGES", ",".join(STAGES)).split(","))
    if unknown := set(stages) - set(STAGES):
        sys.exit(f"BENCH_STAGES: {', '.join(sorted(unknown))} is none of {', '.join(STAGES)}")
    figures = asyncio.run(_measure(float(os.environ.get("BENCH_SCALE", "1")), stages))
    print(table(figures))
    if file := os.environ.get("BENCH_JSON"):
        Path(file).write_text(json.dumps(figures, indent=2) + "\n")


async def _measure(scale: float, stages: tuple[str, ...]) -> dict[str, Any]:
    began, port = time.monotonic(), postfix.free_port()
    figures: dict[str, Any] = dict.fromkeys(_KEYS)
    say("starting PostgreSQL")
    async with open_house(port) as house:
        figures |= await _circumstances(house, scale)
        if "email" in stages and postfix.is_installed():
            number = _scaled(EMAILS, scale)
            figures |= await measure_email(house, port, number, profile=os.environ.get("BENCH_PROFILE", ""))
        elif "email" in stages:
            figures["email_skipped"] = postfix.MISSING
        if "steps" in stages and postfix.is_installed():
            figures |= await measure_steps(house, port, _scaled(EMAILS // 5, scale))
        if "plan" in stages:
            figures |= await measure_planning(house, _scaled(AUDIENCE, scale))
        if "emergency" in stages:
            figures |= await measure_emergency(house, _scaled(AUDIENCE, scale), _scaled(EMERGENCIES, scale, least=5))
        if "import" in stages:
            figures |= await measure_import(house, _scaled(IMPORT_ROWS, scale))
    return {**figures, "peak_bytes": peaks(figures), "seconds": round(time.monotonic() - began, 1)}


async def _circumstances(house: House, scale: float) -> dict[str, Any]:
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scale": scale,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            "postgresql": await house.value("SHOW server_version"),
            "asyncpg": version("asyncpg"),
            "aiosmtplib": version("aiosmtplib"),
            "jinja2": version("jinja2"),
            "postfix": _postfix_version(),
            "kernel": platform.release(),
        },
    }


def _postfix_version() -> str | None:
    if not shutil.which("dpkg-query"):
        return None
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "postfix"], capture_output=True, text=True, check=False
    )
    return asked.stdout or None


def _scaled(number: int, scale: float, *, least: int = 100) -> int:
    return max(least, round(number * scale))


def table(figures: dict[str, Any]) -> str:
    """What a person reads: each figure beside its bar, or the ceiling the same machine has."""
    lines = [f"{figures['cores']} cores, load before {figures['load_before']:.1f}, {figures['seconds']:.0f} s in all"]
    lines += [f"e-mail {figures['email_skipped']}"] if "email_skipped" in figures else []
    lines += [_row(figures[key], *row) for key, *row in _ROWS if figures.get(key)]
    lines += [
        _row(each, f"  {number} process{'' if number == '1' else 'es'}", "messages/s")
        for number, each in figures.get("email_by_processes", {}).items()
    ]
    lines += [_row(size / 1e6, f"peak memory, {who}", "MB", "< 300") for who, size in figures["peak_bytes"].items()]
    lines += [
        _row(each, f"processor, {stage}, {who}", "µs each")
        for stage in STAGES
        for who, each in figures.get(f"{stage}_cpu_us", {}).items()
    ]
    lines += [
        _row(own, f"processor, one message: {step}", f"µs, PostgreSQL {server:,.0f}")
        for step, (own, server) in (figures["cpu_us_per_message"] or {}).items()
    ]
    return "\n".join(lines)


_ROWS = (
    ("email_per_s", "e-mail, first claim to last record", "messages/s", ">= 3,000"),
    ("smtp_source_per_s", "smtp-source -s 8, a connection per message", "messages/s"),
    ("email_ratio", "e-mail / smtp-source", "", ">= 0.40"),
    ("smtp_source_d_per_s", "smtp-source -s 8 -d, connections kept", "messages/s"),
    ("email_20ms_per_s", "e-mail, server 20 ms away", "messages/s"),
    ("smtp_source_d_20ms_per_s", "smtp-source -s 8 -d, server 20 ms away", "messages/s"),
    ("message_bytes", "size of a message", "bytes"),
    ("plan_rows_per_s", "planning, audience to messages", "messages/s", ">= 100,000"),
    ("plan_freeze_s", "  of it freezing the audience", "s"),
    ("plan_writing_s", "  of it writing messages", "s"),
    ("plan_peak_mb", "  memory of the largest process", "MB", "< 300"),
    ("emergency_p99_ms", "emergency, API call to server, 99 %", "ms", "< 1,000"),
    ("emergency_p50_ms", "  half of them", "ms"),
    ("emergency_worst_ms", "  the slowest", "ms"),
    ("emergency_backlog_per_s", "  other messages meanwhile", "messages/s"),
    ("import_rows_per_s", "import from CSV", "rows/s", ">= 30,000"),
)


def _row(value: float, title: str, unit: str, bar: str = "") -> str:
    return f"  {title:<46}{_spell(value):>10} {unit:<12}{bar}".rstrip()


def _spell(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.2f}"


if __name__ == "__main__":
    main()
