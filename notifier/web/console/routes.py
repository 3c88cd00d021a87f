"""All pages of the console as one router."""

from fastapi import APIRouter

from notifier.web.console import campaigns, login, messages, overview, posts, runs, surveys

router = APIRouter()
for room in (login, overview, campaigns, runs, messages, posts, surveys):
    router.include_router(room.router)
