"""`/u/{token}` opt out and `/p/{token}` preferences. Looking changes nothing; sending does."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from notifier.domain.links import LinkKind
from notifier.feedback.links import Preferences, Scope, find_message, find_preferences, leave_channels, opt_out
from notifier.store.visits import LinkedMessage
from notifier.web.public.face import PAGE_HEADERS, Face, face_of, notice, page, read_bank, unknown_page
from notifier.web.public.visitor import read_form, read_token

router = APIRouter()

ONE_CLICK_FIELD, ONE_CLICK_VALUE = "List-Unsubscribe", "One-Click"


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
async def show_opt_out(request: Request, token: str) -> Response:
    """What can be stopped, and a button."""
    numbers = read_token(request, LinkKind.UNSUBSCRIBE, token, 2)
    message = await find_message(request.app.state.database, *numbers) if numbers else None
    if message is None:
        return await unknown_page(request)
    face = await _face(request, message)
    channel = face.words[f"channel_{message.channel}"]
    return page(request, "optout.html", face, channel=channel, has_topic=bool(message.topic))


@router.post("/u/{token}")
async def send_opt_out(request: Request, token: str) -> Response:
    """Opt out; of a mail program's one click there is neither cookie nor redirect. Source: RFC 8058 §3.2."""
    numbers = read_token(request, LinkKind.UNSUBSCRIBE, token, 2)
    if numbers is None:
        return await unknown_page(request)
    form = await _read_any_form(request)
    is_one_click = form.get(ONE_CLICK_FIELD) == ONE_CLICK_VALUE
    scope = Scope.CHANNEL if form.get("scope") == Scope.CHANNEL else Scope.TOPIC
    source = "one-click" if is_one_click else "opt-out page"
    message = await opt_out(request.app.state.database, *numbers, scope=scope, source=source)
    if message is None:
        return await unknown_page(request)
    if is_one_click:
        return PlainTextResponse("unsubscribed\n", headers=PAGE_HEADERS)
    return await _done_page(request, message, scope)


@router.api_route("/p/{token}", methods=["GET", "HEAD"])
async def show_preferences(request: Request, token: str) -> Response:
    """The contact's channels, and which are stopped."""
    numbers = read_token(request, LinkKind.PREFERENCES, token, 2)
    found = await find_preferences(request.app.state.database, *numbers) if numbers else None
    return await _preferences_page(request, found) if found else await unknown_page(request)


@router.post("/p/{token}")
async def send_preferences(request: Request, token: str) -> Response:
    """Stop the channels that are ticked."""
    numbers = read_token(request, LinkKind.PREFERENCES, token, 2)
    if numbers is None:
        return await unknown_page(request)
    form = await read_form(request)
    channels = [name.removeprefix("stop_") for name in form if name.startswith("stop_")]
    found = await leave_channels(request.app.state.database, *numbers, channels=channels, source="preferences page")
    return await _preferences_page(request, found, is_saved=True) if found else await unknown_page(request)


async def _face(request: Request, message: LinkedMessage) -> Face:
    return face_of(request, await read_bank(request), locale=message.locale)


async def _done_page(request: Request, message: LinkedMessage, scope: Scope) -> Response:
    face = await _face(request, message)
    words, channel = face.words, face.words[f"channel_{message.channel}"]
    about = "optout_done_topic" if message.topic and scope is Scope.TOPIC else "optout_done_channel"
    back = words["optout_back"].format(hotline=face.hotline) if face.hotline else ""
    text = f"{words[about].format(channel=channel)}\n{back}"
    return notice(request, face, title=words["optout_done_title"], text=text.strip())


async def _preferences_page(request: Request, found: Preferences, *, is_saved: bool = False) -> Response:
    face = await _face(request, found.message)
    return page(request, "preferences.html", face, choices=found.choices, is_saved=is_saved)


async def _read_any_form(request: Request) -> dict[str, str]:
    """RFC 8058 lets mail programs send multipart too; one field of it is all that matters here."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await read_form(request)
    async with request.form(max_files=0, max_fields=20, max_part_size=1000) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}
