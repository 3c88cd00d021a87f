"""Who is visiting: a person, or a machine that looks at links before them."""

import re
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from notifier.domain.links import LinkKind, read_link

_FORM_BYTES = 262_144
_FORM_FIELDS = 200
_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_PREFETCH_WORDS = ("prefetch", "preview", "prerender")
# Crawlers, link previews of messengers, and scanners of mail gateways, as they call themselves.
_MACHINES = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|facebookexternalhit|whatsapp|telegram|skypeuripreview|slack-imgproxy|embedly|"
    r"linkpreview|googleimageproxy|yahoomailproxy|barracuda|proofpoint|mimecast|safelinks|urldefense|symantec|"
    r"headlesschrome|phantomjs|python-|curl/|wget/|go-http-client|java/|okhttp/|libwww|axios/|node-fetch|scan",
    re.IGNORECASE,
)


def is_machine(request: Request) -> bool:
    """Whether this visit tells nothing about a person: HEAD, prefetch, or a program that says so itself."""
    agent = request.headers.get("user-agent", "")
    return request.method == "HEAD" or _is_prefetch(request) or not agent or bool(_MACHINES.search(agent))


def _is_prefetch(request: Request) -> bool:
    told = " ".join(request.headers.get(name, "") for name in _PREFETCH_HEADERS).lower()
    return any(word in told for word in _PREFETCH_WORDS)


def read_token(request: Request, kind: LinkKind, token: str, count: int) -> tuple[int, ...] | None:
    """The numbers of a token of ours; None for anything else."""
    numbers = read_link(request.app.state.keys.links, kind, token)
    return numbers if numbers is not None and len(numbers) == count else None


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form, empty if it is none; of a name given twice the last one counts. 413 if too long."""
    body = await read_body(request, _FORM_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS))
    except ValueError:
        return {}


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The raw body; 413 as soon as it is longer than the limit, whatever its length claims to be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise HTTPException(413, "the body is too long")
    return bytes(body)
