"""The room of the contacts: found, imported, and each with its whole story."""

from fastapi import APIRouter

from notifier.web.console.contacts import imports, search, story

router = APIRouter()
for part in (imports, search, story):  # `/contacts/{id}` last
    router.include_router(part.router)
