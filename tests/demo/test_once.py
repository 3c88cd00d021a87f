"""`notifier demo --once`: the whole story on real servers, to the last message."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CUSTOMERS = 40


@pytest.fixture(scope="module")
def once(open_folder: Path) -> subprocess.CompletedProcess[str]:
    contacts = open_folder / "clients.csv"
    rows = [f"C{n:05},{30 + n % 40},management" for n in range(1, CUSTOMERS + 1)]
    contacts.write_text("\n".join(["external_id,age,job", *rows, ""]))
    command = [sys.executable, "-m", "notifier", "demo", "--once", "--reset", "--json", "--port", "8497"]
    command += ["--contacts", str(contacts), "--synthesize-addresses"]
    clean = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environment = clean | {"NOTIFIER_DATA_DIR": str(open_folder / "data"), "NOTIFIER_DEFINITIONS_DIR": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment, check=False)


def test_the_demo_ends_well_and_says_how(once: subprocess.CompletedProcess[str]) -> None:
    assert once.returncode == 0, once.stderr
    told = json.loads(once.stdout)
    assert told["contacts"] == CUSTOMERS + 60
    assert told["unfinished"] == 0
    assert {run["state"] for run in told["runs"]} == {"ended"}
    assert len(told["runs"]) == 8


def test_every_planned_message_is_accounted_for(once: subprocess.CompletedProcess[str]) -> None:
    told = json.loads(once.stdout)
    for run in told["runs"]:
        assert run["planned"] == run["sent"] + sum(run["refused"].values()) + sum(run["ended"].values())
    assert told["planned"] == sum(sum(states.values()) for states in told["messages"].values()) > 400


def test_every_post_by_hand_was_published(once: subprocess.CompletedProcess[str]) -> None:
    assert set(json.loads(once.stdout)["messages"]["social"]) == {"accepted"}


def test_the_score_is_marked_as_simulated(once: subprocess.CompletedProcess[str]) -> None:
    told = json.loads(once.stdout)
    score = told["csat"]
    assert score["simulated"] is True
    assert score["simulated_truth_pct"] == 88.0
    assert score["target_pct"] == 85.0
    assert told["responses"] == score["n"] <= told["invitations"]


def test_employees_get_no_customer_notice(once: subprocess.CompletedProcess[str]) -> None:
    told = json.loads(once.stdout)
    assert max(run["recipients"] for run in told["runs"]) == CUSTOMERS
