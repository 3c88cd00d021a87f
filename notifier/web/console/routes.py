"""All pages of the console as one router."""

from fastapi import APIRouter

from notifier.web.console import (
    audit,
    calendar,
    campaigns,
    contacts,
    doubts,
    emergency,
    emergency_runs,
    keys,
    login,
    me,
    messages,
    notes,
    overview,
    people,
    posts,
    review,
    runs,
    sandbox,
    segments,
    stops,
    surveys,
    templates,
)

router = APIRouter()
for room in (
    login,
    overview,
    calendar,
    emergency,
    emergency_runs,
    stops,
    campaigns,
    contacts,
    notes,
    review,
    runs,
    messages,
    doubts,
    posts,
    templates,
    sandbox,
    surveys,
    segments,
    me,
    people,
    keys,
    audit,
):
    router.include_router(room.router)
