"""An HTTP server that speaks the part of Twilio's API that sends and lists messages."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.peers.http_peer import HttpPeer, Seen, Told, http_peer

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "twilio-test-token"
PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


def twilio_error(status: int, code: int, message: str = "no") -> Told:
    """An error as Twilio writes it."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Told(status, json.dumps(body).encode())


class Taken(list[dict[str, object]]):
    """The messages it took, the oldest first; of so many more the answer is lost."""

    lost_answers = 0


@asynccontextmanager
async def twilio_peer(taken: Taken | None = None) -> AsyncIterator[HttpPeer]:
    """Takes and lists messages for `ACCOUNT_SID` with `AUTH_TOKEN`."""
    kept = Taken() if taken is None else taken
    async with http_peer(HttpPeer(serve=lambda seen: _serve(seen, kept))) as peer:
        yield peer


def _serve(seen: Seen, taken: Taken) -> Told:
    basic = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    if seen.headers.get("authorization") != f"Basic {basic}":
        return twilio_error(401, 20003, "Authenticate")
    if seen.method == "GET" and seen.path.partition("?")[0] == PATH:
        return _list(seen, taken)
    if (seen.method, seen.path) != ("POST", PATH):
        return twilio_error(404, 20404, "not found")
    form = seen.form()
    if not form.get("Body"):
        return twilio_error(400, 21602, "Message body is required.")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return twilio_error(400, 21603, "A 'From' phone number is required.")
    taken.append(as_taken(form, len(taken) + 1))
    if taken.lost_answers:
        taken.lost_answers -= 1
        return Told(how="drop")
    return Told(201, json.dumps(taken[-1]).encode())


def _list(seen: Seen, taken: Taken) -> Told:
    """One page of the messages to a number, the newest first."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(seen.path).query).items()}
    size, number = int(asked.get("PageSize", 50)), int(asked.get("Page", 0))
    found = [one for one in reversed(taken) if one["to"] == asked.get("To", one["to"])]
    shown = found[number * size : (number + 1) * size]
    following = f"{PATH}?{urlencode({**asked, 'Page': number + 1})}" if len(found) > (number + 1) * size else None
    return Told(200, json.dumps({"messages": shown, "page": number, "next_page_uri": following}).encode())


def as_taken(form: dict[str, str], number: int) -> dict[str, object]:
    """A message as Twilio shows it."""
    sid = f"SM{number:032x}"
    return {
        "sid": sid,
        "account_sid": ACCOUNT_SID,
        "api_version": "2010-04-01",
        "to": form["To"],
        "from": form.get("From"),
        "body": form["Body"],
        "status": "queued",
        "direction": "outbound-api",
        "num_segments": "1",
        "num_media": "0",
        "error_code": None,
        "error_message": None,
        "date_created": format_datetime(datetime.now(UTC)),
        "date_updated": "Mon, 02 Feb 2026 01:00:00 +0000",
        "date_sent": None,
        "price": None,
        "price_unit": "USD",
        "messaging_service_sid": form.get("MessagingServiceSid"),
        "uri": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}.json",
        "subresource_uris": {},
    }
