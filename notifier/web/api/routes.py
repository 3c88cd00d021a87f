"""The whole API as one router."""

from fastapi import APIRouter

from notifier.web.api import campaigns, contacts, messages, runs, surveys

router = APIRouter(prefix="/api/v1")
for room in (contacts, campaigns, runs, messages, surveys):
    router.include_router(room.router)
