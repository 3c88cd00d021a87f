"""What is shipped beside the code agrees with the code."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from notifier.cli.serve import read_lanes
from notifier.domain.purpose import LANES, RULES, Purpose
from notifier.settings import Settings, variable_of

ROOT = Path(__file__).parents[1]
VARIABLES = {variable_of(name) for name in Settings.model_fields}


@pytest.mark.parametrize("name", ["compose.yaml", "Dockerfile", "docs/deploy.md"])
def test_every_variable_named_is_a_setting(name: str) -> None:
    named = set(re.findall(r"\bNOTIFIER_[A-Z_]+\b", (ROOT / name).read_text()))
    assert named <= VARIABLES
    assert named


@pytest.mark.parametrize("name", ["requirements.lock", "package-lock.json", "pyproject.toml", "Dockerfile", ".npmrc"])
def test_no_file_names_a_registry(name: str) -> None:
    assert not re.search(r"pypi\.org|pythonhosted|registry\.npmjs|\"resolved\"", (ROOT / name).read_text())


def test_front_end_libraries_are_pinned_exactly() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    wanted = package["dependencies"] | package["devDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}
    assert all("integrity" in entry for path, entry in locked.items() if path)


def test_every_dependency_is_locked_by_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [item for items in project["optional-dependencies"].values() for item in items]
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE))
    for requirement in [*project["dependencies"], *extras]:
        name = re.split(r"[\[<>=;! ]", requirement)[0].lower().replace("_", "-")
        assert name.replace(".", "-") in {pin.replace(".", "-") for pin in pinned}


def test_compose_starts_web_and_workers_after_the_migration() -> None:
    services = YAML(typ="safe").load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("web", "worker-urgent", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert services[name]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert "ports" not in services["worker"], "a fixed port would forbid a second worker"


def test_compose_keeps_a_worker_for_what_cannot_wait() -> None:
    services = YAML(typ="safe").load((ROOT / "compose.yaml").read_text())["services"]
    lanes = {}
    for name in ("worker-urgent", "worker"):
        _, *command = services[name]["command"]
        assert command[:2] == ["worker", "--lanes"]
        lanes[name] = read_lanes(command[2])
    urgent = tuple(sorted(RULES[purpose].lane for purpose in (Purpose.EMERGENCY, Purpose.TRANSACTIONAL)))
    assert lanes["worker-urgent"] == urgent
    assert sorted(lanes["worker-urgent"] + lanes["worker"]) == list(LANES)


def test_secrets_of_accounts_reach_every_container_that_sends() -> None:
    services = YAML(typ="safe").load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("web", "worker-urgent", "worker"):
        assert services[name]["env_file"] == [{"path": ".env", "required": False}]


def test_contributing_and_help_name_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: help (.+)$", makefile, re.MULTILINE)[0].split())
    assert set(re.findall(r'@echo "make (\w+)', makefile)) == targets
    assert set(re.findall(r"^    make (\w+) ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)) >= targets


def test_the_image_runs_without_privileges_and_reports_its_health() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER notifier" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
