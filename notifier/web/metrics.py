"""`GET /metrics` for Prometheus: read from the ledger at each scrape, so every web process gives the same answer."""

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from notifier.domain.message import State
from notifier.store.database import Tx
from notifier.store.views.metrics import (
    Backlog,
    Held,
    LaneFacts,
    Passage,
    read_accounts,
    read_backlog,
    read_held,
    read_lanes,
    read_passages,
)

_ACCOUNT_STATES = ("open", "provider", "sender")
_SCOPES = ("everything", "channel", "campaign")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that the database says at one moment."""

    passages: list[Passage]
    lanes: list[LaneFacts]
    backlog: Backlog
    accounts: dict[str, str]
    held: Held


async def read_figures(tx: Tx) -> Figures:
    """A few short queries."""
    return Figures(
        passages=await read_passages(tx),
        lanes=await read_lanes(tx),
        backlog=await read_backlog(tx),
        accounts=await read_accounts(tx),
        held=await read_held(tx),
    )


def may_scrape(authorization: str, token: str) -> bool:
    """Whether a request shows the token; nobody may where none is set."""
    return bool(token) and hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())


def render(figures: Figures | None, *, redis: bool) -> bytes:
    """The text format; of a database that does not answer only that is said."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*_servers(figures is not None, redis), *(_all(figures) if figures else ())]))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _servers(database: bool, redis: bool) -> Iterator[Metric]:
    yield _gauge("notifier_database_up", "1 where PostgreSQL answers", float(database))
    yield _gauge("notifier_redis_up", "1 where Redis answers; without it work goes on, slower", float(redis))


def _all(figures: Figures) -> Iterator[Metric]:
    yield from _messages(figures.passages)
    yield from _lanes(figures.lanes)
    yield from _backlog(figures.backlog)
    yield from _trouble(figures.accounts, figures.held)


def _messages(passages: list[Passage]) -> Iterator[Metric]:
    labels = ["lane", "channel", "state"]
    inside = GaugeMetricFamily("notifier_messages", "messages in a state now", labels=labels)
    entered = CounterMetricFamily("notifier_messages_entered", "times a message came into a state", labels=labels)
    retried = CounterMetricFamily(
        "notifier_messages_retried", "times a message went back to the queue", labels=["lane", "channel"]
    )
    planned: dict[tuple[str, str], int] = {}
    queued: dict[tuple[str, str], int] = {}
    for one in passages:
        place = str(one.lane), one.channel
        inside.add_metric([*place, one.state], one.inside)
        entered.add_metric([*place, one.state], one.entered)
        planned[place] = planned.get(place, 0) + one.inside  # each message is in exactly one state
        if one.state == State.QUEUED:
            queued[place] = one.entered
    for place, number in planned.items():
        retried.add_metric(list(place), queued.get(place, 0) - number)
    yield from (inside, entered, retried)


def _lanes(lanes: list[LaneFacts]) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "notifier_lane_lag_seconds", "age of the oldest due message of a lane that waits", labels=["lane"]
    )
    workers = GaugeMetricFamily("notifier_workers", "workers alive that serve a lane", labels=["lane"])
    for one in lanes:
        lag.add_metric([str(one.lane)], one.lag_s)
        workers.add_metric([str(one.lane)], one.workers)
    yield from (lag, workers)


def _backlog(found: Backlog) -> Iterator[Metric]:
    yield _gauge("notifier_leases", "batches on the wire", found.leases)
    yield _gauge(
        "notifier_leases_expired", "batches whose worker is gone and that no sweep has met yet", found.leases_run_out
    )
    yield _gauge("notifier_steps_waiting", "steps of runs whose time to be planned has come", found.steps)
    yield _gauge("notifier_steps_age_seconds", "how long the oldest of them waits", found.steps_age_s)
    yield _gauge("notifier_notes_waiting", "tests, proofs and alarms to the house that are due", found.notes)
    yield _gauge("notifier_notes_age_seconds", "how long the oldest of them waits", found.notes_age_s)
    yield _gauge("notifier_callbacks_age_seconds", "how long the oldest due callback waits", found.callbacks_age_s)
    yield _gauge("notifier_callbacks_stuck", "callbacks that wait for a person, at most 10000", found.callbacks_stuck)
    applied = CounterMetricFamily("notifier_callbacks_applied", "callbacks applied to messages")
    applied.add_metric([], found.callbacks_applied)
    yield applied


def _trouble(accounts: dict[str, str], held: Held) -> Iterator[Metric]:
    state = GaugeMetricFamily("notifier_account_state", "1 for the state an account is in", labels=["account", "state"])
    for account, found in accounts.items():
        for name in _ACCOUNT_STATES:
            state.add_metric([account, name], float(found == name))
    stops = GaugeMetricFamily("notifier_stops", "stops in force above single runs", labels=["scope"])
    for scope in _SCOPES:
        stops.add_metric([scope], held.stops.get(scope, 0))
    yield from (state, stops)
    yield _gauge("notifier_messages_set_aside", "messages that wait for a person, at most 10000", held.set_aside)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
