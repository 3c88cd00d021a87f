"""An HTTP server that speaks the part of Mastodon's API that posts, Idempotency-Key included, and reads back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tests.peers.http_peer import HttpPeer, Seen, Told, http_peer

TOKEN = "mastodon-test-token"


class Wall(dict[str, dict[str, object]]):
    """Posts by their Idempotency-Key; of so many more the answer is lost."""

    lost_answers = 0


@asynccontextmanager
async def mastodon_peer(wall: Wall | None = None) -> AsyncIterator[HttpPeer]:
    """Takes posts with `TOKEN`; a key seen before gets the same post again."""
    kept = Wall() if wall is None else wall
    async with http_peer(HttpPeer(serve=lambda seen: _serve(seen, kept))) as peer:
        yield peer


def _serve(seen: Seen, wall: Wall) -> Told:
    if seen.headers.get("authorization") != f"Bearer {TOKEN}":
        return Told(401, b'{"error": "The access token is invalid"}')
    if seen.method == "GET":
        return _read(seen.path.partition("?")[0], wall)
    if (seen.method, seen.path) != ("POST", "/api/v1/statuses"):
        return Told(404, b'{"error": "Record not found"}')
    status = json.loads(seen.body)
    if not status.get("status"):
        return Told(422, b'{"error": "Validation failed: Text can\'t be blank"}')
    number = str(1000 + len(wall))
    post = {
        "id": number,
        "url": f"https://social.example/@bank/{number}",
        "content": f"<p>{status['status']}</p>",
        **status,
    }
    post["created_at"] = datetime.now(UTC).isoformat()
    kept = wall.setdefault(seen.headers["idempotency-key"], post)
    if wall.lost_answers:
        wall.lost_answers -= 1
        return Told(how="drop")
    return Told(200, json.dumps(kept).encode())


def _read(path: str, wall: Wall) -> Told:
    """The account of the token, its newest posts, the source of one."""
    parts = path.removeprefix("/api/v1/").split("/")
    if parts == ["accounts", "verify_credentials"]:
        return Told(200, b'{"id": "7"}')
    if parts == ["accounts", "7", "statuses"]:
        return Told(200, json.dumps(list(reversed(wall.values()))[:20]).encode())
    if parts[0] == "statuses" and parts[2:] == ["source"]:
        post = next(post for post in wall.values() if post["id"] == parts[1])
        return Told(200, json.dumps({"id": parts[1], "text": post["status"], "spoiler_text": ""}).encode())
    return Told(404, b'{"error": "Record not found"}')
