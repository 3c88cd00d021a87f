"""The customers of the demo: they report, click, answer and opt out over the same HTTP as everybody else."""

import asyncio
import heapq
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx
import orjson

from notifier.logs import get_logger
from notifier.providers.sandbox import sandbox_headers, sandbox_secret
from notifier.settings import Settings
from notifier.store import clock
from notifier.store.database import Database
from notifier.store.sandbox import Unreported, list_unreported, mark_reported, read_body

log = get_logger()

TRUE_SATISFACTION = 0.88
"""The share of customers who are satisfied in truth; the survey has to find it."""

ANSWERS = 0.38
CLICKS = 0.06
OPTS_OUT = 0.004
COMMENTS = 0.3
_TRUST_IF_SATISFIED, _TRUST_IF_NOT = 0.94, 0.45
STORY_PACE = timedelta(hours=1)
LIVE_PACE = timedelta(seconds=2)
"""How long customers take on the whole: a page is opened after some of these."""

_BROWSER = {
    "accept-language": "zh-CN,en;q=0.8",
    "user-agent": "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36",
}
_SEED = 20260323
_BATCH = 1000
_VISITS_AT_ONCE = 8
_SURVEY = re.compile(r"https?://[^\s\"'<>]+(/s/[A-Za-z0-9._~-]+)")
_CLICK = re.compile(r"href=\"https?://[^\s\"'<>]+?(/l/[A-Za-z0-9._~-]+)\"")
_OPT_OUT = re.compile(r"https?://[^\s\"'<>]+(/u/[A-Za-z0-9._~-]+)")

_HAPPY = {
    "zh-CN": (
        "手机银行很方便，不用跑网点了。",
        "客服接得很快，讲得清楚。",
        "通知及时，心里有数。",
        "办业务省了不少时间。",
    ),
    "en": ("The app does all I need.", "Quick answer, even late at night.", "Good to know early which branches close."),
}
_UNHAPPY = {
    "zh-CN": (
        "登录太麻烦，老是要验证。",
        "电话等了二十分钟。",
        "转账限额太低，希望能调整。",
        "老人不会用，希望有大字版。",
    ),
    "en": (
        "I waited on the phone far too long.",
        "Logging in takes too many steps.",
        "The limit for transfers is too low.",
    ),
}


@dataclass(order=True, slots=True)
class Visit:
    """A page a customer will open at a business time."""

    at: datetime
    path: str = field(compare=False)
    recipient: str = field(compare=False)
    kind: str = field(compare=False)


class Customers:
    """Plays everyone who got a message; what each does is drawn from a seed and the address alone."""

    def __init__(self, settings: Settings, database: Database, base_url: str, pace: timedelta) -> None:
        self._pace = pace
        self._settings, self._database = settings, database
        self._http = httpx.AsyncClient(base_url=base_url, timeout=30, headers=_BROWSER)
        self._secret = settings.secret
        self._visits: list[Visit] = []
        self.answered = self.reported = 0

    async def aclose(self) -> None:
        """Hang up."""
        await self._http.aclose()

    @property
    def next_visit_at(self) -> datetime | None:
        """The business time of the next page somebody opens."""
        return self._visits[0].at if self._visits else None

    async def play(self) -> int:
        """Report what became of the messages kept so far, then open the pages that are due; returns how much was done."""
        async with self._database.transaction() as tx:
            told, now = await list_unreported(tx, _BATCH), await clock.now(tx)
        if told:
            await self._report(told)
            for one in told:
                self._decide(one, now)
            async with self._database.transaction() as tx:
                await mark_reported(tx, [one.id for one in told])
            self.reported += len(told)
        return len(told) + await self._pay_visits(now)

    async def _report(self, told: list[Unreported]) -> None:
        by_account: dict[str, list[Unreported]] = defaultdict(list)
        for one in told:
            by_account[one.account].append(one)
        for account, items in by_account.items():
            body = orjson.dumps(
                [
                    {
                        "id": f"{one.id}",
                        "type": one.fate,
                        "message": one.public_id,
                        "at": one.report_at.isoformat(),
                        "reason": "no such mailbox" if one.fate == "bounced" else "",
                    }
                    for one in items
                ]
            )
            secret = sandbox_secret(self._secret, account)
            headers = sandbox_headers(secret, f"{account}-{items[0].id}", datetime.now(UTC), body)
            answer = await self._http.post(f"/hooks/sandbox/{account}", content=body, headers=headers)
            answer.raise_for_status()

    def _decide(self, one: Unreported, now: datetime) -> None:
        if one.fate != "delivered":
            return
        draw = _draw(one.recipient, one.headline)
        text = "\n".join(str(value) for value in read_body(one.body).values())
        if (survey := _SURVEY.search(text)) and draw.random() < ANSWERS:
            self._visit("answer", survey[1], one.recipient, now + self._pace * draw.expovariate(0.1))
        elif (link := _CLICK.search(text)) and draw.random() < CLICKS:
            self._visit("click", link[1], one.recipient, now + self._pace * draw.expovariate(0.667))
        elif (link := _OPT_OUT.search(text)) and draw.random() < OPTS_OUT:
            self._visit("opt-out", link[1], one.recipient, now + self._pace * draw.expovariate(1))

    def _visit(self, kind: str, path: str, recipient: str, at: datetime) -> None:
        # Together in steps of the pace: the clock stops for each step, not for each customer.
        at += self._pace - (at - datetime.min.replace(tzinfo=UTC)) % self._pace
        heapq.heappush(self._visits, Visit(at=at, path=path, recipient=recipient, kind=kind))

    async def _pay_visits(self, now: datetime) -> int:
        due = []
        while self._visits and self._visits[0].at <= now:
            due.append(heapq.heappop(self._visits))
        gate = asyncio.Semaphore(_VISITS_AT_ONCE)

        async def pay(visit: Visit) -> None:
            async with gate:
                await self._pay(visit)

        await asyncio.gather(*(pay(visit) for visit in due))
        return len(due)

    async def _pay(self, visit: Visit) -> None:
        if visit.kind == "click":
            await self._http.get(visit.path)
        elif visit.kind == "opt-out":
            answer = await self._http.post(visit.path, data={"List-Unsubscribe": "One-Click"})
            answer.raise_for_status()
        else:
            await self._answer(visit)

    async def _answer(self, visit: Visit) -> None:
        page = await self._http.get(visit.path)
        if page.status_code == httpx.codes.GONE:
            return  # the survey closed before this customer came
        page.raise_for_status()
        form = read_form(page.text)
        if not form.fields:
            return  # answered already
        answer = await self._http.post(urljoin(visit.path, form.action), data=fill_form(form, visit.recipient))
        answer.raise_for_status()
        self.answered += 1


@dataclass(slots=True)
class Form:
    """What a customer can fill in: radio groups with their values, and text fields."""

    action: str = ""
    language: str = ""
    choices: dict[str, list[str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    @property
    def fields(self) -> int:
        """How many questions there are."""
        return len(self.choices) + len(self.texts)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form = Form()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "html":
            self.form.language = given.get("lang") or ""
        elif tag == "form":
            self.form.action = given.get("action") or ""
        elif tag == "input" and given.get("type") == "radio":
            self.form.choices.setdefault(name, []).append(given.get("value") or "")
        elif tag == "textarea":
            self.form.texts.append(name)


def read_form(page: str) -> Form:
    """The form of a survey page."""
    reader = _FormReader()
    reader.feed(page)
    return reader.form


def fill_form(form: Form, recipient: str) -> dict[str, str]:
    """What this customer answers: satisfied with the true share, texts now and then."""
    draw = _draw(recipient, ",".join(form.choices))
    is_satisfied = draw.random() < TRUE_SATISFACTION
    given = {}
    feels_well = is_satisfied  # the first rating is the one that is scored; another one leans on it
    for name, values in form.choices.items():
        if values == ["1", "2", "3", "4", "5"]:
            given[name] = _rate(values, draw, feels_well)
            feels_well = draw.random() < (_TRUST_IF_SATISFIED if is_satisfied else _TRUST_IF_NOT)
        else:
            given[name] = _choose(values, draw)
    language = "zh-CN" if form.language.startswith("zh") else "en"
    for name in form.texts:
        if draw.random() < COMMENTS:
            given[name] = draw.choice((_HAPPY if is_satisfied else _UNHAPPY)[language])
    return given


def _rate(values: list[str], draw: random.Random, is_satisfied: bool) -> str:
    return draw.choices(values, weights=(0, 0, 0, 45, 55) if is_satisfied else (15, 25, 60, 0, 0))[0]


def _choose(values: list[str], draw: random.Random) -> str:
    return draw.choices(values, weights=[2.0**-rank for rank in range(len(values))])[0]


def _draw(*facts: str) -> random.Random:
    return random.Random(f"{_SEED}:{':'.join(facts)}")  # noqa: S311 - a play, not a secret
