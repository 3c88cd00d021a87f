"""Assets: what pages ask for is there, or is built."""

import ast
import re
from pathlib import Path

import pytest

from notifier.web.security import ASSETS, asset_url

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "notifier" / "web" / "pages"
ASKED = sorted(
    {name for page in PAGES.rglob("*.html") for name in re.findall(r"\basset\(['\"]([^'\"]+)['\"]\)", page.read_text())}
)


def _built() -> set[str]:
    """The build hook's list, read without its build backend."""
    for node in ast.parse((ROOT / "hatch_build.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ASSETS":
            return set(ast.literal_eval(node.value))
    raise LookupError("hatch_build.py has no ASSETS")


@pytest.mark.parametrize("name", ASKED)
def test_what_a_page_asks_for_is_in_the_checkout_or_built(name: str) -> None:
    if name.startswith("vendor/"):
        assert name.removeprefix("vendor/") in _built()
    else:
        assert (ASSETS / name).is_file()


def test_a_missing_asset_is_an_error_not_a_dead_address() -> None:
    with pytest.raises(FileNotFoundError):
        asset_url("vendor/missing.js")
