"""The public pages' style sheet in the bank's colour."""

import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from notifier.web.public.face import STYLE, unknown_page

router = APIRouter()
_ACCENT = re.compile(r"[0-9a-f]{6}")


@router.api_route("/public/{version}/{accent}.css", methods=["GET", "HEAD"])
async def get_style(request: Request, version: str, accent: str) -> Response:
    """Cached for good: a change has a new address."""
    del version
    if not _ACCENT.fullmatch(accent):
        return await unknown_page(request)
    headers = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}
    return Response(f":root{{--accent:#{accent}}}\n{STYLE}", media_type="text/css", headers=headers)
