"""Posts by hand over the API: what waits for a person, the word that it is published, and the way back."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import Field

from notifier.delivery.posts import mark_posted, take_back_posted
from notifier.domain.errors import NotFound
from notifier.domain.keys import Keys
from notifier.domain.links import LinkKind, message_token, read_link
from notifier.domain.message import MessageId, RunId
from notifier.store.database import Database
from notifier.store.posts import PostTask, list_open_posts
from notifier.web.api.keyed import Reader, Sender, actor
from notifier.web.api.paging import Listed, Shape
from notifier.web.values import Text

router = APIRouter(prefix="/posts", tags=["posts"])


class PostOut(Shape):
    """A post that a person has to publish."""

    id: str = Field(description="the message's public id; its content is that of the message")
    run_id: int
    campaign: str
    step: str
    account: str
    drill: bool
    since: datetime
    expires_at: datetime = Field(description="not published after that")
    followed_by: int | None = Field(description="the released correction or all-clear that holds instead of it")


class PostedIn(Shape):
    """Where it was published."""

    link: Text = Field(min_length=1, max_length=2000, description="the http(s) address of the published post")


class PostState(Shape):
    """How the post counts now."""

    id: str
    state: str = Field(description="`accepted`: published, so sent; `to-post`: waits for a person")


@router.get("", summary="List posts that wait for a person")
async def list_posts(request: Request, key: Reader) -> Listed[PostOut]:
    """The one that expires first at the top; always one page."""
    database: Database = request.app.state.database
    keys: Keys = request.app.state.keys
    async with database.transaction() as tx:
        found = await list_open_posts(tx, key.team_id, limit=200)
    return Listed(items=[_tell(post, keys) for post in found], next_cursor=None)


@router.post("/{message_id}/posted", summary="Say that a post is published")
async def posted(request: Request, key: Sender, message_id: Text, body: PostedIn) -> PostState:
    """From then on it counts as sent; 409 where it does not wait for anybody."""
    database: Database = request.app.state.database
    run_id, number = _read_id(request, message_id)
    async with database.transaction() as tx:
        await mark_posted(tx, key.team_id, run_id, number, link=body.link, by=actor(key))
    await request.app.state.bell.ring("tick")
    return PostState(id=message_id, state="accepted")


@router.post("/{message_id}/not-posted", summary="Take back that a post is published")
async def not_posted(request: Request, key: Sender, message_id: Text) -> PostState:
    """It waits for a person again; 409 more than 24 hours after the other word."""
    database: Database = request.app.state.database
    run_id, number = _read_id(request, message_id)
    async with database.transaction() as tx:
        await take_back_posted(tx, key.team_id, run_id, number, by=actor(key))
    return PostState(id=message_id, state="to-post")


def _read_id(request: Request, message_id: str) -> tuple[int, int]:
    keys: Keys = request.app.state.keys
    numbers = read_link(keys.links, LinkKind.MESSAGE, message_id)
    if numbers is None or len(numbers) != 2:
        raise NotFound("there is no such post")
    return numbers[0], numbers[1]


def _tell(post: PostTask, keys: Keys) -> PostOut:
    return PostOut(
        id=message_token(keys.links, RunId(post.run_id), MessageId(post.message_id)),
        run_id=post.run_id,
        campaign=post.campaign_key,
        step=post.step,
        account=post.account,
        drill=post.drill,
        since=post.since,
        expires_at=post.expires_at,
        followed_by=post.followed_by,
    )
