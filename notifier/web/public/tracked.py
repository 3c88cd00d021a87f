"""`/l/{token}`: a tracked link. Notes the click and goes where the stored link leads, nowhere else."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.links import LinkKind
from notifier.feedback.links import follow_link
from notifier.web.public.face import unknown_page
from notifier.web.public.visitor import is_machine, read_token

router = APIRouter()
_HEADERS = {"cache-control": "no-store", "x-robots-tag": "noindex, nofollow", "referrer-policy": "no-referrer"}


@router.api_route("/l/{token}", methods=["GET", "HEAD"])
async def follow(request: Request, token: str) -> Response:
    """Redirect to the stored target; a machine's visit is marked as one."""
    numbers = read_token(request, LinkKind.TRACKED, token, 3)
    if numbers is None:
        return await unknown_page(request)
    target = await follow_link(request.app.state.database, *numbers, by_machine=is_machine(request))
    if target is None or not target.startswith(("https://", "http://")):
        return await unknown_page(request)
    return RedirectResponse(target, status_code=302, headers=_HEADERS)
