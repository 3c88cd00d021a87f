"""All pages of the console as one router."""

from fastapi import APIRouter

from notifier.web.console import campaigns, login, messages, overview, runs, surveys

router = APIRouter()
for room in (login, overview, campaigns, runs, messages, surveys):
    router.include_router(room.router)
