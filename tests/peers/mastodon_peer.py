"""An HTTP server that speaks the part of Mastodon's API that posts, Idempotency-Key included."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.peers.http_peer import HttpPeer, Seen, Told, http_peer

TOKEN = "mastodon-test-token"


class Wall(dict[str, dict[str, object]]):
    """Posts by their Idempotency-Key."""


@asynccontextmanager
async def mastodon_peer(wall: Wall | None = None) -> AsyncIterator[HttpPeer]:
    """Takes posts with `TOKEN`; a key seen before gets the same post again."""
    kept = Wall() if wall is None else wall
    async with http_peer(HttpPeer(serve=lambda seen: _serve(seen, kept))) as peer:
        yield peer


def _serve(seen: Seen, wall: Wall) -> Told:
    if seen.headers.get("authorization") != f"Bearer {TOKEN}":
        return Told(401, b'{"error": "The access token is invalid"}')
    if (seen.method, seen.path) != ("POST", "/api/v1/statuses"):
        return Told(404, b'{"error": "Record not found"}')
    status = json.loads(seen.body)
    if not status.get("status"):
        return Told(422, b'{"error": "Validation failed: Text can\'t be blank"}')
    number = str(1000 + len(wall))
    post = {"id": number, "url": f"https://social.example/@bank/{number}", "content": status["status"], **status}
    return Told(200, json.dumps(wall.setdefault(seen.headers["idempotency-key"], post)).encode())
