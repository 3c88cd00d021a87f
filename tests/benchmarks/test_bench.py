"""The benchmark itself: it runs, adds up and says what it leaves out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import postfix

_ROOT = Path(__file__).resolve().parents[2]
_KEYS = {
    "email_per_s",
    "smtp_source_per_s",
    "email_ratio",
    "smtp_source_d_per_s",
    "email_20ms_per_s",
    "plan_rows_per_s",
    "plan_1m_rows_per_s",
    "plan_peak_mb",
    "emergency_p99_ms",
    "import_rows_per_s",
}


def _bench(tmp_path: Path, **environment: str) -> tuple[dict[str, Any], str]:
    file = tmp_path / "bench.json"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=_ROOT,
        env=os.environ | {"BENCH_JSON": str(file), "DATABASE_URL": "postgresql://nobody@nowhere/none"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures, ran.stdout


@pytest.mark.skipif(not postfix.is_installed(), reason=postfix.MISSING)
def test_every_stage_gives_its_figure_from_one_run(tmp_path: Path) -> None:
    figures, table = _bench(tmp_path, BENCH_SCALE="0.002")
    assert all(figures[key] > 0 for key in _KEYS)
    assert figures["email_ratio"] == figures["email_per_s"] / figures["smtp_source_per_s"]
    assert figures["cores"] >= 1
    assert set(figures["peak_bytes"]) >= {"email_worker", "plan_planner", "import_importer"}
    assert set(figures["email_by_processes"]) == {"1", "2", "4"}
    assert {"claim", "record", "all"} <= set(figures["cpu_us_per_message"])
    assert figures["emergency_samples"] >= 5
    assert figures["emergency_p50_ms"] <= figures["emergency_p99_ms"] <= figures["emergency_worst_ms"]
    assert "e-mail / smtp-source" in table
    assert ">= 3,000" in table


def test_without_postfix_the_rest_is_still_measured(tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    figures, table = _bench(
        tmp_path, BENCH_SCALE="0.001", BENCH_STAGES="email,import", BENCH_POSTFIX=nothing, PATH=nothing
    )
    assert figures["email_per_s"] is None
    assert figures["import_rows_per_s"] > 0
    assert "skipped: install Debian's postfix" in table


def test_the_size_of_a_dumped_message_is_that_on_the_wire(tmp_path: Path) -> None:
    mail = "From: a@example.com\r\nSubject: x\r\n\r\nText\r\n"
    added = "X-Client-Addr: 127.0.0.1\nX-Mail-Args: <a@example.com> SIZE=40\nReceived: from x\n\tby y\n\tid z\n"
    (tmp_path / "m.1").write_text(added + mail.replace("\r\n", "\n"))
    assert postfix.dumped_size(tmp_path) == len(mail)


def test_a_stage_nobody_knows_is_refused() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=_ROOT,
        env=os.environ | {"BENCH_STAGES": "mail"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "mail is none of email, steps, plan, emergency, import" in ran.stderr
