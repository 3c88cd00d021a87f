"""The audit trail: who did what, to what, when; every act in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from notifier.domain.person import SCHEDULE
from notifier.planning.schedule import to_utc
from notifier.store.views.audit import AuditFilter, AuditLine, list_audit
from notifier.web.access.sessions import Auditor
from notifier.web.audit_csv import audit_csv
from notifier.web.console.catalogues import load_catalogue
from notifier.web.console.names import Names, read_names
from notifier.web.console.show import open_page
from notifier.web.console.words import Words
from notifier.web.values import Id, Text

router = APIRouter()
_PAGE = 50
_ACT = "act "
_ADDRESSES: Mapping[str, str] = {
    "run": "/runs/{}",
    "contact": "/contacts?q={}",
    "user": "/users/{}",
    "key": "/keys",
    "template": "/templates/{}",
    "campaign": "/campaigns/{}",
    "stop": "/stops/{}",
    "survey": "/surveys/{}",
    "segment": "/segments/{}",
    "proof-reader": "/proof-readers",
    "import": "/contacts/imports/{}",
}
"""Where the pages of subjects are."""
Wanted = Annotated[Text, Query(max_length=200)]
Day = Annotated[Text, Query(max_length=10, pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of the trail as it is read."""

    line: AuditLine
    actor: str
    act: str
    subject: str
    href: str
    reason: str
    has_more: bool  # the words do not say all of the detail


@router.get("/audit")
async def show_audit(  # noqa: PLR0917 - one for each filter
    request: Request,
    visitor: Auditor,
    actor: Wanted = "",
    act: Wanted = "",
    subject: Wanted = "",
    since: Day = "",
    until: Day = "",
    before: Id | None = None,
) -> Response:
    """The newest first; days are the bank's, both included."""
    typed = {"actor": actor, "act": act, "subject": subject, "since": since, "until": until}
    async with open_page(request, visitor) as page:
        wanted = _read_filter(typed, page.bank.zone)
        found = await list_audit(page.tx, page.team_id, wanted, before=before, limit=_PAGE + 1)
        names = await read_names(page)
        return page.show(
            "audit.html",
            told=[tell_line(line, names, page.words) for line in found[:_PAGE]],
            more=found[_PAGE - 1].id if len(found) > _PAGE else None,
            typed=typed,
            query=urlencode({name: value for name, value in typed.items() if value}),
            actors={**names.users, SCHEDULE.name: page.words("Schedule")},
            keys=names.keys,
            acts=known_acts(page.words),
        )


@router.get("/audit.csv")
async def export_audit(  # noqa: PLR0917 - one for each filter
    request: Request,
    visitor: Auditor,
    actor: Wanted = "",
    act: Wanted = "",
    subject: Wanted = "",
    since: Day = "",
    until: Day = "",
) -> Response:
    """The same lines as a file, all of them."""
    async with open_page(request, visitor) as page:
        typed = {"actor": actor, "act": act, "subject": subject, "since": since, "until": until}
        wanted = _read_filter(typed, page.bank.zone)
        team_id, words = page.team_id, page.words
    return audit_csv(request.app.state.database, team_id, wanted, tell=lambda line: tell_act(line, words))


def _read_filter(typed: Mapping[str, str], zone: str) -> AuditFilter:
    since, until = _day(typed["since"]), _day(typed["until"])
    return AuditFilter(
        actor=typed["actor"].strip(),
        act=typed["act"].strip(),
        subject=typed["subject"].strip(),
        since=_midnight(since, zone) if since else None,
        until=_midnight(until + timedelta(days=1), zone) if until and until < date.max else None,
    )


def _day(text: str) -> date | None:
    """A day that is none is no filter: browsers send only days."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _midnight(day: date, zone: str) -> datetime:
    return to_utc(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 - the bank's own clock


def known_acts(t: Words) -> Mapping[str, list[tuple[str, str]]]:
    """Kind of thing → its acts with their names, for a filter: `run` → (`run.stopped`, "stopped the run") …"""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for message in sorted(load_catalogue("en")):
        if message.startswith(_ACT):
            act = message.removeprefix(_ACT)
            kinds.setdefault(act.partition(".")[0], []).append((act, t(message)))
    return kinds


def tell_line(line: AuditLine, names: Names, t: Words) -> Told:
    """Who did what to what, in the reader's language."""
    kind, _, key = line.subject.partition(":")
    told = {"reason", "note", "problem"} | (
        set(line.detail) if len(line.detail) == 1 and _tell_facts(line, t) else set()
    )
    return Told(
        line=line,
        actor=names.actor(line.actor),
        act=tell_act(line, t),
        subject=_tell_subject(kind, key, names, t) if key else line.subject,
        href=subject_href(line.subject),
        reason=str(line.detail.get("reason") or line.detail.get("note") or line.detail.get("problem") or ""),
        has_more=bool(set(line.detail) - told),
    )


def tell_act(line: AuditLine, t: Words) -> str:
    """The act in words, with what it was about; an act without words as it is written down."""
    message = _ACT + line.act
    if message not in load_catalogue(t.locale):
        return line.act
    facts = _tell_facts(line, t)
    return t("%(act)s: %(facts)s", act=t(message), facts=facts) if facts else t(message)


def _tell_facts(line: AuditLine, t: Words) -> str:
    match line.act, line.detail:
        case "user.role_changed", {"from": before, "to": after}:
            return t("from %(before)s to %(after)s", before=t(str(before)), after=t(str(after)))
        case "user.created", {"role": role}:
            return t(str(role))
        case "user.changed", {"fields": list(fields)}:
            return t.listed([t(str(name)) for name in fields])
        case "user.sessions_ended", {"count": int(count)}:
            return t("%(count)s sessions", count=t.number(count))
        case "run.released", {"contacts": int(contacts), "drill": True}:
            return t("an exercise, %(count)s contacts", count=t.number(contacts))
        case (("run.released" | "run.glass_broken"), {"contacts": int(contacts)}):
            return t("1 contact") if contacts == 1 else t("%(count)s contacts", count=t.number(contacts))
        case "key.created", {"name": name}:
            return str(name)
        case _:
            return ""


def _tell_subject(kind: str, key: str, names: Names, t: Words) -> str:
    match kind:
        case "user":
            return names.users.get(key, key)
        case "key":
            return names.actor(f"api-key:{key}")
        case "campaign":
            return names.campaign(key)
        case "message":
            return t("Message %(id)s", id=key)
        case "account":
            return names.account(key)
        case "run":
            return t("Run %(id)s", id=key)
        case "stop":
            return t("Stop %(id)s", id=key)
        case _:
            return key


def subject_href(subject: str) -> str:
    """The page of a subject, "" where it has none."""
    kind, _, key = subject.partition(":")
    if kind == "message":
        run, _, number = key.partition("/")
        return f"/messages/{quote(run)}/{quote(number)}" if number else ""
    return _ADDRESSES[kind].format(quote(key, safe="")) if key and kind in _ADDRESSES else ""
