"""Headers every answer carries, and assets under an address that changes with their content."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.web.problems import problem_json

ASSETS = Path(__file__).parent / "assets"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cache-control": "no-store",
}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}
_A_YEAR = "public, max-age=31536000, immutable"
_AN_HOUR = "public, max-age=3600"


class SecurityHeaders:
    """Adds what an answer does not say for itself."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self.app = app
        self.headers = dict(_HEADERS)
        if is_https:
            self.headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI door; bodies stream through untouched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class BodyCap:
    """413 for a body that says, or turns out, to be too long; before anybody asked who sends it."""

    def __init__(self, app: ASGIApp, *, limit_bytes: int, by_path: Mapping[str, int]) -> None:
        self.app, self.limit_bytes, self.by_path = app, limit_bytes, by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI door; counts what is read, whatever its length claims to be. The hooks count for themselves."""
        if scope["type"] != "http" or scope["path"].startswith("/hooks/"):
            await self.app(scope, receive, send)
            return
        limit = self.by_path.get(scope["path"], self.limit_bytes)
        told = Headers(scope=scope).get("content-length", "0")
        if not (told.isascii() and told.isdecimal()) or int(told[:20]) > limit:
            await problem_json(413, _too_long(limit), headers={"connection": "close"})(scope, receive, send)
            return
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, _too_long(limit), headers={"connection": "close"})
            return message

        await self.app(scope, receive_counted, send)


def _too_long(limit_bytes: int) -> str:
    return f"the body is longer than {limit_bytes} bytes"


@cache
def asset_url(path: str) -> str:
    """`/assets/console.css?v=…`, where v is the content's hash; `FileNotFoundError` where it was not built."""
    return f"/assets/{path}?v={hashlib.sha256((ASSETS / path).read_bytes()).hexdigest()[:12]}"


def serve_asset(path: str, version: str) -> Response | None:
    """The file under `assets`, kept by browsers for a year where the address names its content."""
    try:
        file = (ASSETS / path).resolve()
        is_there = file.is_relative_to(ASSETS) and file.is_file()
    except (ValueError, OSError):  # a NUL, a name too long for the file system
        return None
    if not is_there or file.suffix not in _TYPES:
        return None
    caching = _A_YEAR if version and asset_url(path).endswith(f"?v={version}") else _AN_HOUR
    return FileResponse(file, media_type=_TYPES[file.suffix], headers={"cache-control": caching})
