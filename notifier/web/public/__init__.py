"""The public face: survey, opt-out, preferences and tracked links; no login, no cookie, no script."""

from fastapi import APIRouter

from notifier.web.public import assets, optout, survey, tracked

router = APIRouter(include_in_schema=False)
for part in (survey.router, optout.router, tracked.router, assets.router):
    router.include_router(part)

__all__ = ["router"]
