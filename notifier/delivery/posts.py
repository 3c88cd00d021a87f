"""Posts by hand: a person says that one is published, or takes it back."""

from datetime import timedelta
from urllib.parse import urlsplit

from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.event import EventKind
from notifier.domain.message import State, move
from notifier.store import clock, posts
from notifier.store.access import add_audit
from notifier.store.callbacks import NewEvent, StateChange, add_events, change_states
from notifier.store.database import Tx
from notifier.store.posts import Post
from notifier.store.stops import is_held

TAKEN_BACK_WITHIN = timedelta(hours=24)
_AGAIN_WITHIN = timedelta(hours=1)
"""How long somebody who took a post back has at least to publish it."""


def check_post_link(link: str) -> str:
    """The address of a published post; `InputError` where it is none."""
    link = link.strip()
    parts = urlsplit(link)
    if parts.scheme not in {"http", "https"} or not parts.netloc or any(char.isspace() for char in link):
        raise InputError("link", "wants the address of the published post, https://…")
    return link


async def mark_posted(tx: Tx, team_id: int, run_id: int, message_id: int, *, link: str, by: str) -> None:
    """The post is published there and counts as sent. `Conflict` where nobody waits for it (any more)."""
    link = check_post_link(link)
    post = await _lock(tx, team_id, run_id, message_id)
    if State(post.state) is not State.TO_POST:
        raise Conflict("this post does not wait for anybody to publish it")
    if post.run_state == "stopped":
        raise Conflict("its run is stopped: resume the run first, or do not publish the post")
    if await is_held(tx, run_id, post.message.channel, post.lane):
        raise Conflict("a stop holds it: wait until that is resumed, or do not publish the post")
    await posts.set_post_url(tx, run_id, message_id, link)
    await _tell(tx, post, State.ACCEPTED, EventKind.POSTED, by=by)
    await add_audit(
        tx,
        team_id,
        actor=by,
        act="post.published",
        subject=f"message:{run_id}/{message_id}",
        detail={"link": link},
    )


async def take_back_posted(tx: Tx, team_id: int, run_id: int, message_id: int, *, by: str) -> None:
    """Not published after all: it waits for a person again, and its run goes on. Within a day of the other word."""
    post = await _lock(tx, team_id, run_id, message_id)
    now = await clock.now(tx)
    if State(post.state) is not State.ACCEPTED or post.posted_at is None:
        raise Conflict("this post was not marked as posted")
    if now - post.posted_at > TAKEN_BACK_WITHIN:
        raise Conflict("it was marked as posted more than a day ago and stays so")
    await posts.reopen_post(tx, run_id, message_id, until=now + _AGAIN_WITHIN)
    await _tell(tx, post, State.TO_POST, EventKind.TAKEN_BACK, by=by)
    await add_audit(
        tx,
        team_id,
        actor=by,
        act="post.taken_back",
        subject=f"message:{run_id}/{message_id}",
        detail={"link": post.url},
    )


async def _lock(tx: Tx, team_id: int, run_id: int, message_id: int) -> Post:
    post = await posts.lock_post(tx, team_id, run_id, message_id)
    if post is None:
        raise NotFound("there is no such post")
    return post


async def _tell(tx: Tx, post: Post, to: State, kind: EventKind, *, by: str) -> None:
    state, now = move(State(post.state), to), await clock.now(tx)
    took_at = now if state is State.ACCEPTED else None
    await change_states(tx, [StateChange(message=post.message, to_state=state, reason="", took_at=took_at)])
    event = NewEvent(
        run_id=post.message.run_id,
        message_id=post.message.id,
        event_key=f"{kind}:{post.told + 1}",
        kind=kind,
        at=now,
        code="",
        reason="",
        source=by,
    )
    await add_events(tx, [event])
