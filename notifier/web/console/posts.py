"""Posts by hand: what somebody has to publish, the word that it is published, and the way back."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from notifier.delivery.posts import TAKEN_BACK_WITHIN, check_post_link, mark_posted, take_back_posted
from notifier.domain.account import Account
from notifier.domain.errors import InputError, NotFound
from notifier.store import clock, posts
from notifier.store.database import Database
from notifier.store.posts import PostTask
from notifier.web.access.sessions import Actor, LoggedIn
from notifier.web.console.names import read_names
from notifier.web.console.preview import show_content
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id, Text

router = APIRouter()
MANUAL = "manual"


@router.get("/posts")
async def show_posts(request: Request, visitor: LoggedIn, done: Text = "") -> Response:
    """What waits for a person with its text, and what was done of late."""
    async with open_page(request, visitor) as page:
        tasks = await posts.list_open_posts(page.tx, page.team_id)
        values = await _values(page)
    shown = [(task, await show_content(request, task.run_id, task.message_id)) for task in tasks]
    return page.show("posts.html", tasks=shown, done=done, **values)


async def _values(page: Page) -> dict[str, Any]:
    now = await clock.now(page.tx)
    accounts = await page.catalogue.accounts(page.tx, page.team_id)
    by_hand = [account.key for account in accounts if account.provider == MANUAL]
    return {
        "names": await read_names(page),
        "published": await posts.list_done_posts(page.tx, page.team_id, by_hand),
        "open_urls": {account.key: _open_url(account) for account in accounts},
        "may_be_undone_since": now - TAKEN_BACK_WITHIN,
        "now": now,
    }


def _open_url(account: Account) -> str:
    return str(account.settings.get("open_url") or "")


@router.get("/posts/{run_id}/{message_id}")
async def ask_posted(request: Request, visitor: LoggedIn, run_id: Id, message_id: Id, url: Text = "") -> Response:
    """The text, the link and where it leads, before it counts as published; says it where the link is none."""
    problem: InputError | None = None
    try:
        link = check_post_link(url)
    except InputError as error:
        link, problem = "", error
    async with open_page(request, visitor) as page:
        task = await _find_task(page, run_id, message_id)
        values = await _values(page)
    return page.show(
        "post.html",
        422 if problem else 200,
        task=task,
        shown=await show_content(request, run_id, message_id),
        typed=url.strip(),
        link=link,
        problem=problem,
        domain=domain_of(link),
        usual_domain=domain_of(values["open_urls"].get(task.account, "")),
        **values,
    )


async def _find_task(page: Page, run_id: int, message_id: int) -> PostTask:
    for task in await posts.list_open_posts(page.tx, page.team_id, limit=500):
        if (task.run_id, task.message_id) == (run_id, message_id):
            return task
    raise NotFound("this post does not wait for anybody to publish it (any more)")


def domain_of(link: str) -> str:
    """The host of an address without its `www.`."""
    return (urlsplit(link).hostname or "").removeprefix("www.")


@router.post("/posts/{run_id}/{message_id}")
async def take_posted(
    request: Request, visitor: Actor, run_id: Id, message_id: Id, url: Annotated[Text, Form(max_length=2000)] = ""
) -> Response:
    """A person published it: keep the link to the post."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await mark_posted(tx, visitor.user.team_id, run_id, message_id, link=url, by=visitor.user.login)
    await request.app.state.bell.ring("tick")
    return RedirectResponse("/posts?done=posted", 303)


@router.post("/posts/{run_id}/{message_id}/undo")
async def take_back(request: Request, visitor: Actor, run_id: Id, message_id: Id) -> Response:
    """Not published after all: it is a task again."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await take_back_posted(tx, visitor.user.team_id, run_id, message_id, by=visitor.user.login)
    return RedirectResponse("/posts?done=taken-back", 303)
