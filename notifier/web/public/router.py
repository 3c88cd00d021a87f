"""All pages of the public face as one router."""

from fastapi import APIRouter

from notifier.web.public import assets, optout, survey, tracked

router = APIRouter(include_in_schema=False)
for part in (survey.router, optout.router, tracked.router, assets.router):
    router.include_router(part)
