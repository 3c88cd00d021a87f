"""Ways: by which account a step's messages leave, how fast, until when, and for how much."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifier.domain.account import Account
from notifier.domain.channel import Channel
from notifier.domain.pace import Crowd, Hours, Pace, reckon_pace
from notifier.domain.rate import URGENT_LANES
from notifier.domain.spec import account_from_spec
from notifier.domain.template import Bank
from notifier.planning.forecast import Reach, StepForecast
from notifier.planning.schedule import to_utc
from notifier.store import clock
from notifier.store import definitions as stored
from notifier.store.database import Tx
from notifier.store.run_steps import NewStep
from notifier.store.runs import Run
from notifier.store.views.forecast import measure_speeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What the SMS of a step will cost: each language with the parts of its worst sample."""

    worst_parts: int
    total_parts: int
    cost_per_part: float | None
    currency: str

    @property
    def worst_cost(self) -> float | None:
        """Of the dearest single message."""
        return None if self.cost_per_part is None else self.worst_parts * self.cost_per_part

    @property
    def total_cost(self) -> float | None:
        """Of all of them."""
        return None if self.cost_per_part is None else self.total_parts * self.cost_per_part


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOutlook:
    """One way of a step: through which account, how many, how fast, when it is done, for how much."""

    channel: Channel
    account: Account | None  # None: no account carries it
    messages: int
    per_second: float | None
    is_measured: bool  # of the last runs; else the account says it
    pace: Pace
    bill: Bill | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What is the same for all steps."""

    accounts: Sequence[Account]  # the one used first comes first
    speeds: Mapping[str, float]
    now: datetime
    bank: Bank


async def read_desk(tx: Tx, run: Run, bank: Bank, channels: Collection[Channel]) -> Desk:
    """The run's accounts and how fast the last runs went, where an account of these channels does not say it."""
    accounts = await _list_accounts(tx, run)
    first = [next((one for one in accounts if one.channel is channel), None) for channel in channels]
    stated = all(one is None or one.speed(urgent=False) for one in first)
    return Desk(
        accounts=accounts,
        speeds={} if stated else await measure_speeds(tx, run.team_id),
        now=await clock.now(tx),
        bank=bank,
    )


async def _list_accounts(tx: Tx, run: Run) -> list[Account]:
    found = [
        account_from_spec((await stored.get_definition(tx, number)).spec) for number in run.pinned["accounts"].values()
    ]
    return sorted(found, key=lambda account: (account.order, account.key))


def reckon_ways(
    desk: Desk, forecast: StepForecast, plan: NewStep, parts: Mapping[str, int]
) -> tuple[ChannelOutlook, ...]:
    """One for each channel of a step; `parts`: locale → the most SMS parts that were seen in it."""
    return tuple(_way(desk, forecast, reach, plan=plan, parts=parts) for reach in forecast.reach)


def _way(
    desk: Desk, forecast: StepForecast, reach: Reach, *, plan: NewStep, parts: Mapping[str, int]
) -> ChannelOutlook:
    channel = Channel(reach.channel)
    account = next((one for one in desk.accounts if one.channel is channel), None)
    stated = _stated_speed(account, plan, max(parts.values(), default=1)) if account else None
    speed = stated or desk.speeds.get(channel.value)
    crowds = [_crowd(zone, _sampled(forecast, count), plan, desk.bank) for zone, count in reach.zones.items()]
    hours = Hours(open_from=plan.open_from, open_to=plan.open_until, expires=plan.expires)
    return ChannelOutlook(
        channel=channel,
        account=account,
        messages=_sampled(forecast, reach.reachable),
        per_second=speed,
        is_measured=stated is None and speed is not None,
        pace=reckon_pace(crowds, hours, now=desk.now, per_second=speed),
        bill=_bill(desk, forecast, reach, parts, account) if channel is Channel.SMS else None,
    )


def _stated_speed(account: Account, plan: NewStep, parts: int) -> float | None:
    """As its limits let a lane send; an SMS takes as many of them as it has parts."""
    speed = account.speed(urgent=plan.lane in URGENT_LANES)
    return speed / max(parts, 1) if speed and account.channel is Channel.SMS else speed


def _sampled(forecast: StepForecast, count: int) -> int:
    return round(count * forecast.sample_pct / 100)


def _crowd(zone: str, count: int, plan: NewStep, bank: Bank) -> Crowd:
    """As the claim reads a zone: the bank's where a contact has none or one that is not known."""
    try:
        ZoneInfo(zone or bank.zone)
        known = zone or bank.zone
    except (ZoneInfoNotFoundError, ValueError):
        known = bank.zone
    due_at = plan.due_at if plan.due_at is not None else to_utc(plan.due_local or plan.plan_at, known)
    return Crowd(zone=known, messages=count, due_at=due_at)


def _bill(
    desk: Desk, forecast: StepForecast, reach: Reach, parts: Mapping[str, int], account: Account | None
) -> Bill | None:
    """A language without a sample counts like the dearest one; None where no text could be made."""
    most = max(parts.values(), default=0)
    if not most:
        return None
    total = sum(
        _sampled(forecast, count) * (parts.get(locale or desk.bank.default_locale) or most)
        for locale, count in reach.locales.items()
    )
    return Bill(
        worst_parts=most,
        total_parts=total,
        cost_per_part=account.cost_per_part if account else None,
        currency=account.currency if account else "",
    )
