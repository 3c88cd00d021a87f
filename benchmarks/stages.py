"""The measured stages: e-mail beside its ceiling, planning, import."""

import asyncio
import csv
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import postfix
from benchmarks.fault_proxy import fault_proxy
from benchmarks.house import CAMPAIGN, INPUTS, Child, House
from benchmarks.processes import cpu_seconds, watched
from notifier.domain.contact import ConsentAct, Contact
from notifier.planning.synthesize import synthetic_contacts

Figures = dict[str, Any]
_WORKERS = 2
_WARM_UP = 400
_MOST_PEOPLE = 100_000
_ALL, _SOME, _FEW = "all", "some", "few"
_ROUND_TRIP_S = 0.02


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


async def measure_email(house: House, port: int, number: int, *, profile: str = "") -> Figures:
    """Personalised e-mail from the first claim to the last record, in two processes with four connections each."""
    say(f"e-mail: {number:,} contacts")
    warm = min(_WARM_UP, number)
    await house.empty()
    people = _people()
    await house.add_contacts(itertools.islice(people, warm), _FEW)
    await house.add_contacts(itertools.islice(people, number), _ALL)
    await house.add_contacts(itertools.islice(_people(), max(warm, number // 4)), _SOME)
    await house.analyze()
    await house.mail_to(port)
    async with house.children(_WORKERS) as workers:
        size = await _warm_up(house, port, workers, warm)
        before = await _ceiling(house, port, number, size)
        figures = await _email(house, port, workers, number, profile)
        after = await _ceiling(house, port, number, size)
    by_processes = {n: await _with_processes(house, port, n) for n in (1, 4)}
    far = await _far(house, port, size)
    # The machine is never the same twice: once before, once after, and the better one counts.
    ceiling = {key: max(before[key], after[key]) for key in before}
    return {
        **figures,
        **ceiling,
        **far,
        "email_by_processes": {"1": by_processes[1], "2": figures["email_per_s"], "4": by_processes[4]},
        "smtp_source_runs_per_s": [before["smtp_source_per_s"], after["smtp_source_per_s"]],
        "message_bytes": size,
        "email_ratio": figures["email_per_s"] / ceiling["smtp_source_per_s"],
    }


async def add_people(house: House, number: int, audience: str) -> None:
    """So many customers who may be written to, as an audience."""
    await house.add_contacts(itertools.islice(_people(), number), audience)


def _people() -> Iterator[Contact]:
    """Customers who may be written to, in the bank's zone: elsewhere it may be night."""
    for contact in synthetic_contacts(_MOST_PEOPLE, employees=0):
        if contact.email and not any(consent.act is ConsentAct.OPT_OUT for consent in contact.consents):
            yield replace(contact, zone="")


async def _warm_up(house: House, port: int, workers: Sequence[Child], number: int) -> int:
    """Both workers send some; returns the size of what arrived."""
    folder = house.folder / "dump"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    house.folder.chmod(0o755)
    await plan_run(workers[0], _FEW)
    async with postfix.sink(port, house.folder, "-d", f"{folder}/m."):
        await asyncio.gather(*(worker.do("drain") for worker in workers))
    await _require(house, number, len(list(folder.iterdir())))
    return postfix.dumped_size(folder)


async def _ceiling(house: House, port: int, number: int, size: int) -> Figures:
    say(f"smtp-source: {number:,} messages of {size:,} bytes")
    async with postfix.sink(port, house.folder):
        await postfix.source_per_s(port, messages=max(number // 10, 8), size=size, keep_connections=False)
        fresh = await postfix.source_per_s(port, messages=number, size=size, keep_connections=False)
        kept = await postfix.source_per_s(port, messages=number, size=size, keep_connections=True)
    return {"smtp_source_per_s": fresh, "smtp_source_d_per_s": kept}


async def _with_processes(house: House, port: int, number: int) -> float:
    """E-mail per second of so many processes, warmed up, each with its own connections."""
    say(f"e-mail: {number} processes")
    async with house.children(number) as workers:
        await _drained(house, port, workers, _FEW)
        return await _drained(house, port, workers, _ALL)


async def _drained(house: House, port: int, workers: Sequence[Child], audience: str) -> float:
    await plan_run(workers[0], audience)
    async with postfix.sink(port, house.folder):
        done = await asyncio.gather(*(worker.do("drain") for worker in workers))
    sent = sum(one["sent"] for one in done)
    return float(sent / (max(one["ended"] for one in done) - min(one["began"] for one in done)))


async def _far(house: House, port: int, size: int) -> Figures:
    """The same two processes with a server 20 ms away, beside `smtp-source` that waits for each reply."""
    say("e-mail: 20 ms away")
    async with fault_proxy(port, round_trip_s=_ROUND_TRIP_S) as proxy:
        await house.mail_to(proxy.port)
        async with house.children(_WORKERS) as workers:
            await _drained(house, port, workers, _FEW)
            per_s = await _drained(house, port, workers, _SOME)
        async with postfix.sink(port, house.folder):
            plain = await postfix.source_per_s(proxy.port, messages=400, size=size, keep_connections=True)
    return {"email_20ms_per_s": per_s, "smtp_source_d_20ms_per_s": plain}


async def _email(house: House, port: int, workers: Sequence[Child], number: int, profile: str) -> Figures:
    planner, *_ = workers
    await plan_run(planner, _ALL)
    say("e-mail: sending")
    async with postfix.sink(port, house.folder, "-c") as sink, watched(house) as server:
        sink_before = cpu_seconds([sink.pid])
        done = await asyncio.gather(
            *(worker.do("drain", profile=f"{profile}.{n}" if profile else "") for n, worker in enumerate(workers))
        )
        sink_s = cpu_seconds([sink.pid]) - sink_before
        await _require(house, number, sink.messages())
    took = max(one["ended"] for one in done) - min(one["began"] for one in done)
    return {
        "email_per_s": number / took,
        "email_s": took,
        "email_messages": number,
        "email_cpu_us": {
            "workers": _us(sum(one["cpu_s"] for one in done), number),
            "postgresql": _us(server.cpu_s, number),
            "smtp-sink": _us(sink_s, number),
        },
        "email_worker_peak_bytes": max(one["peak_bytes"] for one in done),
        "email_server_peak_bytes": server.peak_bytes,
    }


async def plan_run(child: Child, audience: str) -> int:
    """Launch and plan; returns the run's number."""
    run = await child.do("launch", campaign=CAMPAIGN, inputs=INPUTS, audience=audience)
    await child.do("plan")
    return int(run["run"])


async def _require(house: House, wanted: int, arrived: int) -> None:
    """The newest run's ledger, its tallies and the server's own count must agree."""
    ledger = await house.value(
        "SELECT count(*) FROM notifier.messages WHERE run_id = (SELECT max(id) FROM notifier.runs) AND state = 'accepted'"
    )
    tallied = await house.value(
        """
        SELECT sum(delta)::int FROM notifier.tallies
        WHERE run_id = (SELECT max(id) FROM notifier.runs) AND state = 'accepted'
        """
    )
    if not wanted == ledger == tallied == arrived:
        others = await house.value(
            """
            SELECT json_agg(DISTINCT concat_ws(' ', state, reason)) FROM notifier.messages
            WHERE run_id = (SELECT max(id) FROM notifier.runs)
            """
        )
        raise RuntimeError(
            f"{wanted} messages planned, {ledger} accepted, {tallied} tallied, {arrived} arrived: {others}"
        )


# Addresses are this stage's scenery: their keys need not be those of the installation.
_CROWD = """
INSERT INTO notifier.contacts (team_id, external_id, kind, name, locale, zone, attributes, created_at, updated_at)
SELECT 1, 'P' || n, 'customer', 'Client ' || n, CASE WHEN n % 20 < 17 THEN 'zh-CN' ELSE 'en' END, 'Asia/Shanghai',
    jsonb_build_object('city', 'Shanghai', 'branch', 'Jing''an', 'age', 20 + n % 60), now(), now()
FROM generate_series($1::int, $2::int) AS n
"""
_CROWD_ADDRESSES = """
INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
SELECT id, 'email', lower(external_id) || '@example.com', sha256(external_id::bytea)
FROM notifier.contacts WHERE id > $1
"""
_SLICE = 100_000


async def add_crowd(house: House, number: int) -> None:
    """So many customers with an e-mail address, and nobody else."""
    say(f"making {number:,} contacts")
    await house.empty()
    for first in range(1, number + 1, _SLICE):
        async with house.database.transaction() as tx:
            known = await tx.fetchval("SELECT coalesce(max(id), 0) FROM notifier.contacts")
            await tx.execute(_CROWD, first, min(first + _SLICE - 1, number))
            await tx.execute(_CROWD_ADDRESSES, known)


async def measure_planning(house: House, number: int) -> Figures:
    """From a launched run to its last message, one channel; the planner is a process of its own."""
    await add_crowd(house, number)
    await house.add_contacts(synthetic_contacts(_WARM_UP, employees=0), _FEW)
    await house.analyze()
    async with house.children(1) as (planner,):
        await plan_run(planner, _FEW)
        await house.execute("CHECKPOINT")
        say("planning")
        run = (await planner.do("launch", campaign=CAMPAIGN, inputs=INPUTS))["run"]
        async with watched(house) as server:
            frozen = await planner.do("freeze", run=run)
            done = await planner.do("plan")
    expected = number + _WARM_UP
    if not done["messages"] == expected == await _queued(house, run):
        raise RuntimeError(f"{expected} messages wanted, {done['messages']} planned")
    freeze, writing = (one["ended"] - one["began"] for one in (frozen, done))
    return {
        "plan_rows_per_s": expected / (freeze + writing),
        "plan_1m_rows_per_s": expected / (freeze + writing),
        "plan_peak_mb": max(done["peak_bytes"], server.peak_bytes) / 1e6,
        "plan_messages": expected,
        "plan_freeze_s": freeze,
        "plan_writing_s": writing,
        "plan_cpu_us": {
            "planner": _us(frozen["cpu_s"] + done["cpu_s"], expected),
            "postgresql": _us(server.cpu_s, expected),
        },
        "plan_planner_peak_bytes": done["peak_bytes"],
        "plan_server_peak_bytes": server.peak_bytes,
    }


async def _queued(house: House, run: int) -> int:
    return int(await house.value("SELECT count(*) FROM notifier.messages WHERE run_id = $1 AND state = 'queued'", run))


ATTRIBUTES = ("city", "branch", "age", "income", "segment", "opened", "card", "app")


async def measure_import(house: House, number: int) -> Figures:
    """A CSV with e-mail, telephone and eight attributes, as a file of a bank would be."""
    say(f"import: {number:,} rows")
    await house.empty()
    warm, file = house.folder / "few.csv", house.folder / "contacts.csv"
    write_csv(warm, "W", min(number, 2_000))
    write_csv(file, "I", number)
    async with house.children(1) as (importer,):
        await importer.do("import_file", file=str(warm))
        async with watched(house) as server:
            done = await importer.do("import_file", file=str(file))
    if not done["read"] == done["added"] == number:
        raise RuntimeError(f"{number} rows written, {done}")
    took = done["ended"] - done["began"]
    return {
        "import_rows_per_s": number / took,
        "import_rows": number,
        "import_s": took,
        "import_cpu_us": {"importer": _us(done["cpu_s"], number), "postgresql": _us(server.cpu_s, number)},
        "import_importer_peak_bytes": done["peak_bytes"],
        "import_server_peak_bytes": server.peak_bytes,
    }


def write_csv(file: Path, letter: str, number: int) -> None:
    """Rows that are all right; telephone numbers repeat, there are not enough for everybody."""
    with file.open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output)
        writer.writerow(("external_id", "name", "email", "phone", "locale", *ATTRIBUTES))
        for n in range(number):
            writer.writerow(_row(f"{letter}{n:07}", n))


def _row(identity: str, n: int) -> tuple[object, ...]:
    return (
        identity,
        f"客户{n}",
        f"{identity.lower()}@example.com",
        f"+1{(212, 310, 415, 617)[n % 4]}55501{n // 4 % 100:02}",
        "en" if n % 7 == 0 else "zh-CN",
        ("上海", "苏州", "杭州")[n % 3],
        f"静安支行{n % 40}",
        20 + n % 60,
        3_000 + n % 9_000,
        "ABC"[n % 3],
        f"20{n % 25:02}-0{1 + n % 9}-1{n % 10}",
        "yes" if n % 2 else "no",
        n % 100 / 10,
    )


def peaks(figures: Mapping[str, Any]) -> dict[str, int]:
    """Every peak, by who had it."""
    return {key.removesuffix("_peak_bytes"): value for key, value in figures.items() if key.endswith("_peak_bytes")}


def _us(seconds: float, number: int) -> float:
    return round(seconds * 1e6 / number, 1)
