"""The room of templates: the list, the editor with its preview, versions."""

from fastapi import APIRouter

from notifier.web.console.templates import acts, editor, versions

router = APIRouter()
for part in (editor, acts, versions):
    router.include_router(part.router)
