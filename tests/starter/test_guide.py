"""The example on the page about campaigns is one that works."""

import re
import shutil
from pathlib import Path

from notifier.planning.definitions.folder import load_definitions
from notifier.rendering.check import check_template
from tests.starter.pack import ROOT

PLAIN = "{{ greeting }}\n{{ inputs.branch_name }} {{ inputs.starts_at|datetime }}\n"


def test_the_example_of_the_guide_checks_clean(tmp_path: Path) -> None:
    blocks = re.findall(r"```(?:yaml|html)\n(.*?)```", (ROOT / "docs/add-a-campaign.md").read_text("utf-8"), re.DOTALL)
    for folder in ("campaigns", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    _write_template(tmp_path / "templates/atm-service", yaml=blocks[0], html=blocks[1])
    (tmp_path / "campaigns/epidemic-response/atm-service.yaml").write_text(blocks[2], "utf-8")

    found = load_definitions(tmp_path)

    assert [step.name for step in found.campaigns["atm-service"].value.steps] == ["inform", "post", "retry"]
    assert check_template(found.templates["atm-service"].value, found.bank.value) == []


def _write_template(folder: Path, *, yaml: str, html: str) -> None:
    folder.mkdir()
    (folder / "template.yaml").write_text(yaml, "utf-8")
    for locale in ("zh-CN", "en"):
        (folder / f"email.{locale}.html").write_text(html.replace("email.en", f"email.{locale}"), "utf-8")
        for channel in ("email", "sms", "social"):
            (folder / f"{channel}.{locale}.txt").write_text(PLAIN, "utf-8")
