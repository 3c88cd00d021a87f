"""What the README and the pages of docs/ say is so: links lead somewhere, commands exist, examples pass."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from notifier.cli.app import app
from notifier.planning.contact_import import ImportOptions, import_contacts
from notifier.planning.definitions.check import check_folder
from notifier.settings import Settings, starter_dir, variable_of
from notifier.store.database import Database

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
IMAGE_BYTES = 250_000
IMAGES_BYTES = 1_000_000

_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
_HERE = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|\s|/)notifier\s+([a-z].*)$")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in _BLOCK.findall(page.read_text()) if language in languages]


def command_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of every `notifier …` line of a page's code."""
    code = [line for text in blocks(page, "sh", "") for line in text.splitlines()]
    for line in [*code, *_INDENTED.findall(page.read_text())]:
        if found := _COMMAND.search(line.split("#")[0].split(" > ")[0].strip()):
            yield shlex.split(found[1])


COMMANDS = sorted({(relative(page), shlex.join(words)) for page in PAGES for words in command_lines(page)})


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_link_and_image_leads_somewhere(page: Path) -> None:
    missing = [target for target in _LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert not missing


def test_images_stay_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "docs/images").iterdir()]
    assert 0 < max(sizes) < IMAGE_BYTES
    assert sum(sizes) < IMAGES_BYTES


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_and_option_exists(page: str, line: str) -> None:
    words = shlex.split(line)
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: no command {words[0]}"
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands"), f"{page}: {line} names no command"
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word.split("=")[0] for word in words if word.startswith("-")}
    assert given <= known | {"--help"}, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_variable_named_is_a_setting(page: Path) -> None:
    named = set(re.findall(r"\bNOTIFIER_[A-Z_]+\b", page.read_text()))
    assert named <= {variable_of(name) for name in Settings.model_fields}


def test_readme_shows_commands() -> None:
    assert len([page for page, _ in COMMANDS if page == "README.md"]) > 8


@pytest.fixture
def first_campaign(tmp_path: Path) -> Path:
    """The folder that somebody has who did literally what the README says."""
    for part in ("campaigns", "templates"):
        shutil.copytree(starter_dir() / part, tmp_path / part)
    (tmp_path / "templates/hello").mkdir()
    text = README.read_text()
    for block in blocks(README, "yaml"):
        kind, key = re.findall(r"^(campaign|template): (\w+)$", block, re.MULTILINE)[0]
        name = f"campaigns/{key}.yaml" if kind == "campaign" else f"templates/{key}/template.yaml"
        assert f"`{name}`" in text or f"`templates/{key}/`, with `template.yaml`" in text
        (tmp_path / name).write_text(block)
    for block in blocks(README, "sh"):
        for name, content in _HERE.findall(block):
            (tmp_path / name).write_text(content)
    return tmp_path


def test_the_first_campaign_of_the_readme_passes(first_campaign: Path) -> None:
    found = check_folder(first_campaign)
    assert not found.errors
    assert found.definitions is not None
    assert "hello" in found.definitions.campaigns
    assert not [remark for remark in found.remarks if "hello" in remark.place.file]


async def test_the_customers_of_the_readme_are_accepted(first_campaign: Path, database: Database) -> None:
    bank = check_folder(first_campaign, check_template=lambda _template, _bank: []).require().bank.value
    report = await import_contacts(
        database, first_campaign / "customers.csv", ImportOptions(), bank=bank, address_hash_key=b"k" * 32
    )
    assert (report.added, report.rejected) == (3, 0)
