"""The whole API as one router."""

from fastapi import APIRouter

from notifier.web.api import (
    calendar,
    campaigns,
    contact_lists,
    contact_story,
    contacts,
    doubts,
    emergency,
    imports,
    messages,
    notes,
    people,
    posts,
    releases,
    run_acts,
    runs,
    sandbox,
    segments,
    stops,
    surveys,
    templates,
)

router = APIRouter(prefix="/api/v1")
for room in (
    calendar,
    contacts,
    contact_story,
    contact_lists,
    imports,
    campaigns,
    runs,
    releases,
    run_acts,
    stops,
    emergency,
    messages,
    doubts,
    posts,
    notes,
    templates,
    surveys,
    segments,
    sandbox,
    people,
):
    router.include_router(room.router)
