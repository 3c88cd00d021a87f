"""Versions of a template: who saved what, how it differs from the one before, and the way back."""

from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.errors import DefinitionErrors, NotFound
from notifier.planning.templates.keep import EditedMeanwhile, ManagedByFile, restore_template
from notifier.planning.templates.versions import compare_specs
from notifier.store import definitions as stored
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.show import Page, open_page
from notifier.web.console.templates.editor import NOTHING, Said, find_template, order_of
from notifier.web.values import Id, Text

router = APIRouter()


@router.get("/templates/{key}/versions")
async def show_versions(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """Every version, the newest first."""
    async with open_page(request, visitor) as page:
        definition, template = await find_template(page, key)
        return page.show(
            "template_versions.html",
            definition=definition,
            edited=template,
            versions=await stored.list_versions(page.tx, page.team_id, "template", key),
            runs=await stored.list_open_runs_with(page.tx, page.team_id, key),
        )


@router.get("/templates/{key}/versions/{version}")
async def show_version(request: Request, visitor: LoggedIn, key: Text, version: Id) -> Response:
    """One version: its difference to the one before, and its texts."""
    async with open_page(request, visitor) as page:
        return await _version_page(page, key, version)


async def _version_page(page: Page, key: str, version: int, said: Said = NOTHING, status: int = 200) -> Response:
    newest, template = await find_template(page, key)
    lines = await stored.list_versions(page.tx, page.team_id, "template", key)
    numbers = [line.version for line in lines]
    if version not in numbers:
        raise NotFound(f"there is no version {version} of the template {key}")
    one = await stored.find_version(page.tx, page.team_id, "template", key, version)
    before = max((number for number in numbers if number < version), default=0)
    earlier = await stored.find_version(page.tx, page.team_id, "template", key, before) if before else None
    return page.show(
        "template_version.html",
        status,
        newest=newest,
        edited=template,
        line=next(line for line in lines if line.version == version),
        before=before,
        after=min((number for number in numbers if number > version), default=0),
        differences=compare_specs(earlier.spec if earlier else {}, one.spec),
        files=_in_order(cast("dict[str, str]", one.spec.get("files", {})), page.bank.locales),
        is_newest=version == newest.version,
        is_same=one.hash == newest.hash,
        said=said,
    )


def _in_order(files: Mapping[str, str], locales: Sequence[str]) -> dict[str, str]:
    return {name: files[name] for name in sorted(files, key=lambda name: order_of(name, locales))}


@router.post("/templates/{key}/versions/{version}/restore")
async def restore(request: Request, visitor: Actor, key: Text, version: Id, base: Annotated[Id, Form()]) -> Response:
    """A new version equal to this one; what today's check finds wrong in it is shown."""
    try:
        await restore_template(
            request.app.state.database, key, version, team_id=visitor.user.team_id, base=base, by=visitor.person
        )
    except DefinitionErrors as error:
        said, status = Said(errors=error.errors), 422
    except (EditedMeanwhile, ManagedByFile) as error:
        said, status = Said(problem=str(error)), 409
    else:
        return RedirectResponse(f"/templates/{key}?done=restored", 303)
    async with open_page(request, visitor) as page:
        return await _version_page(page, key, version, said, status)
