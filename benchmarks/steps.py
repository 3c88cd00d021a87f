"""`python -m benchmarks.steps`: what each step of an e-mail costs the processor, ours and PostgreSQL's."""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import uvloop

from benchmarks import postfix
from benchmarks.child import TEAM
from benchmarks.house import CAMPAIGN, House, open_house
from benchmarks.processes import cpu_seconds
from benchmarks.stages import Figures, add_people, plan_run, say
from notifier.delivery.accounts import Accounts
from notifier.delivery.compose import Composed, Composer, Source
from notifier.delivery.materials import Library, RunMaterials
from notifier.domain.account import Account
from notifier.domain.channel import Channel, Outgoing
from notifier.domain.keys import derive_keys
from notifier.domain.message import RunId, State
from notifier.providers.base import Provider
from notifier.store.database import open_database
from notifier.store.messages.claim import Claimed, Portion, claim_batch
from notifier.store.messages.record import Receipt, record_receipts
from notifier.store.targets import keep_targets

_MESSAGES, _WARM_UP = 3_200, 640


@dataclass(slots=True)
class Costs:
    """Processor seconds by step."""

    server_pid: int = 0
    own_s: dict[str, float] = field(default_factory=dict)
    server_s: dict[str, float] = field(default_factory=dict)

    def per_message_us(self, number: int) -> dict[str, tuple[float, float]]:
        """Ours and PostgreSQL's by step, and of all of them."""
        own, server = ({**of, "all": sum(of.values())} for of in (self.own_s, self.server_s))
        return {step: (own[step] * 1e6 / number, server[step] * 1e6 / number) for step in own}

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """The block is this step."""
        own, server = time.process_time(), cpu_seconds([self.server_pid])
        yield
        self.own_s[step] = self.own_s.get(step, 0.0) + time.process_time() - own
        self.server_s[step] = self.server_s.get(step, 0.0) + cpu_seconds([self.server_pid]) - server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    house: House
    materials: RunMaterials
    composer: Composer
    account: Account
    provider: Provider
    costs: Costs


async def _measure() -> None:
    if not postfix.is_installed():
        sys.exit(postfix.MISSING)
    port = postfix.free_port()
    async with open_house(port) as house:
        _print(await measure_steps(house, port, _MESSAGES))


async def measure_steps(house: House, port: int, number: int) -> Figures:
    """`cpu_us_per_message`: step → processor time of one process and of PostgreSQL, over so many messages."""
    say(f"steps: {number:,} messages")
    await house.empty()
    await house.mail_to(port)
    warm_up = min(_WARM_UP, number)
    await add_people(house, number + warm_up, "all")
    await house.analyze()
    async with postfix.sink(port, house.folder):
        async with house.children(1) as (planner,):
            run_id = RunId(await plan_run(planner, "all"))
        url = str(house.environment["DATABASE_URL"])
        async with open_database(url, max_connections=1) as database:
            bench_house = replace(house, database=database)
            materials = await Library(database).get(run_id)
            accounts = Accounts(house.settings, database)
            account, provider = await accounts.get(materials.accounts["email"])
            bench = _Bench(
                house=bench_house,
                materials=materials,
                composer=Composer(house.settings.public_url, derive_keys(house.settings.secret).links),
                account=account,
                provider=provider,
                costs=Costs(),
            )
            sent = await _send_all(bench, run_id, warm_up)
            await accounts.aclose()
    return {"cpu_us_per_message": bench.costs.per_message_us(sent)}


async def _send_all(bench: _Bench, run_id: RunId, warm_up: int) -> int:
    """Returns how many went out after the first `warm_up`."""
    bench.costs.server_pid = await bench.house.value("SELECT pg_backend_pid()")
    sent, before, after, more = 0, 0, None, True
    while more:
        if sent < warm_up:
            bench.costs.own_s.clear()
            bench.costs.server_s.clear()
            before = sent
        with bench.costs.of("claim"):
            async with bench.house.database.transaction() as tx:
                batch = await claim_batch(
                    tx,
                    run_id,
                    3,
                    worker="bench",
                    zone=bench.materials.bank.zone,
                    override_opt_out=False,
                    portion=Portion(after=after),
                )
        after, more = batch.cursor, bool(batch.messages)
        if more:
            await _send_batch(bench, run_id, batch.claim_id, batch.messages)
            sent += len(batch.messages)
    return sent - before


async def _send_batch(bench: _Bench, run_id: RunId, claim_id: int, messages: Sequence[Claimed]) -> None:
    costs, composer, materials = bench.costs, bench.composer, bench.materials
    with costs.of("render, hash, links"):
        composed = [composer.render(_source(message), materials) for message in messages]
    with costs.of("find and sign tracked links"):
        targets = composer.targets(composed, materials.bank.link_domains)
        async with bench.house.database.transaction() as tx:
            ids = await keep_targets(tx, TEAM, targets)
        tracked = [
            composer.track(one, materials, message.id, ids) for one, message in zip(composed, messages, strict=True)
        ]
    with costs.of("public id and MIME"):
        outgoing = [_outgoing(bench, *one) for one in zip(messages, tracked, strict=True)]
    with costs.of("SMTP, 4 connections"):
        gate = asyncio.Semaphore(bench.provider.capabilities.slots)
        taken = await asyncio.gather(*(_hand_over(bench.provider, one, gate) for one in outgoing))
    with costs.of("record"):
        receipts = [
            Receipt(
                id=message.id,
                state=State.ACCEPTED,
                reason=detail,
                account=bench.account.key,
                locale=one.locale,
                content_hash=one.hash,
                renderer="1",
            )
            for message, one, detail in zip(messages, composed, taken, strict=True)
        ]
        async with bench.house.database.transaction() as tx:
            await record_receipts(tx, run_id, claim_id, receipts)


async def _hand_over(provider: Provider, outgoing: Outgoing, gate: asyncio.Semaphore) -> str:
    async with gate:
        return (await provider.send(outgoing)).detail


def _source(message: Claimed) -> Source:
    return Source(
        id=message.id,
        channel=Channel(message.channel),
        step=message.step,
        variables=message.variables,
        inputs=message.inputs,
        invitation_id=message.invitation_id,
    )


def _outgoing(bench: _Bench, message: Claimed, composed: Composed) -> Outgoing:
    bank = bench.materials.bank
    outgoing = Outgoing(
        public_id=bench.composer.public_id(bench.materials, message.id),
        channel=Channel.EMAIL,
        to=message.address,
        sender=bench.account.sender or bank.sender_email,
        sender_name=bank.name.get(composed.locale, bank.default_locale),
        reply_to=bank.reply_to,
        content=composed.content,
        callback_url="",
        validity_s=3600,
    )
    list_id = f"{CAMPAIGN}.{outgoing.sender.rpartition('@')[2]}"
    return outgoing.with_mime(bench.composer.mime(composed, outgoing, date=message.claimed_at, list_id=list_id))


def _print(figures: Figures) -> None:
    print(f"{'processor time per message, µs':<34}{'worker':>8}{'PostgreSQL':>12}")
    for step, (own, server) in figures["cpu_us_per_message"].items():
        print(f"{step:<34}{own:>8,.0f}{server:>12,.0f}")


if __name__ == "__main__":
    uvloop.run(_measure())
