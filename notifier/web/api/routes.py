"""The whole API as one router."""

from fastapi import APIRouter

from notifier.web.api import calendar, campaigns, contacts, messages, posts, run_acts, runs, surveys

router = APIRouter(prefix="/api/v1")
for room in (calendar, contacts, campaigns, runs, run_acts, messages, posts, surveys):
    router.include_router(room.router)
