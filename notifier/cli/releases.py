"""Commands by which a run is submitted, looked at as a whole, released by a second person, or given back."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import typer

from notifier.cli.door import TEAM, ask_who, find_actor, with_rows
from notifier.cli.forecasts import say_forecast, step_facts
from notifier.cli.inputs import read_moment
from notifier.cli.show import WRONG_USAGE, complain, confirm, describe_counts, note, say, say_json
from notifier.domain.channel import EmailContent
from notifier.domain.errors import Conflict
from notifier.domain.person import Person
from notifier.planning.catalogue import find_bank
from notifier.planning.release import (
    release_run,
    reschedule_run,
    return_run,
    review_break_glass,
    submit_run,
)
from notifier.planning.review import Review, review_run
from notifier.planning.schedule import to_local
from notifier.settings import Settings
from notifier.store.database import Database, Tx
from notifier.store.queue import open_bell
from notifier.store.runs import Run, get_run
from notifier.store.views.runs import get_run_line
from notifier.store.views.users import names_of

_HASH_SHOWN = 12
_NOW = "now"
RunNumber = Annotated[int, typer.Argument(metavar="RUN", help="Its number, as `notifier campaign status` shows.")]
As = Annotated[
    str, typer.Option("--as", metavar="LOGIN", help="Who does it; the password is asked, or read from standard input.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]


async def ring(settings: Settings) -> None:
    """Workers look once a second anyway."""
    async with open_bell(settings.redis_url) as bell:
        await bell.ring("tick")


def run_facts(run: Run) -> dict[str, object]:
    """A run for a script."""
    return {"run": run.id, "campaign": run.campaign_key, "state": run.state, "nominal_at": run.nominal_at}


def say_state(run: Run) -> None:
    """Where a run stands, and what comes next."""
    say(f"Run {run.id} of {run.campaign_key} is {run.state}.")
    if run.state == "submitted":
        note(f"Nothing goes out yet. Another person releases it: `notifier campaign release {run.id} --as LOGIN`.")
    elif run.state == "draft":
        note(f"Nothing goes out yet. `notifier campaign submit {run.id}` asks for its release.")
    else:
        note(f"`notifier campaign status {run.id}` shows how it goes, `notifier campaign stop {run.id}` halts it.")


def submit(run: RunNumber, login: As = "", as_json: AsJson = False) -> None:
    """Submit a draft: from now on another person can release it. Who submits it is one of its authors.

    - `notifier campaign submit 202603000001 --as lin`
    """
    _act(login, lambda tx, by: submit_run(tx, run, by), run, as_json=as_json)


def give_back(
    run: RunNumber,
    reason: Annotated[str, typer.Option(help="What is to be changed; the author reads it.")],
    login: As = "",
    as_json: AsJson = False,
) -> None:
    """Give a submitted run back to its author instead of releasing it.

    - `notifier campaign return 202603000001 --reason "the date is wrong" --as chen`
    """
    _act(login, lambda tx, by: return_run(tx, run, by, reason), run, as_json=as_json)


def reschedule(
    run: RunNumber,
    at: Annotated[str, typer.Option(metavar="TIME", help="2026-03-12T09:00 in the bank's zone, or `now`.")],
    login: As = "",
    as_json: AsJson = False,
) -> None:
    """Give a run of which nothing was sent another time. It has to be released again, as after every change.

    - `notifier campaign reschedule 202603000001 --at 2026-03-17T09:00 --as lin`

    - `notifier campaign reschedule 202603000001 --at now --as lin`: as soon as it is released
    """

    async def work(tx: Tx, by: Person) -> Run:
        starts_at = None if at == _NOW else read_moment(at, (await find_bank(tx, TEAM)).zone)
        return await reschedule_run(tx, run, starts_at, by)

    _act(login, work, run, as_json=as_json)


def _act(login: str, work: Callable[[Tx, Person], Awaitable[Run]], number: int, *, as_json: bool) -> None:
    credentials = ask_who(login)

    async def main(settings: Settings, database: Database) -> Run:
        by = await find_actor(database, credentials)
        async with database.transaction() as tx:
            await get_run_line(tx, TEAM, number)
            changed = await work(tx, by)
        await ring(settings)
        return changed

    changed = with_rows(main)
    if as_json:
        say_json(run_facts(changed))
    else:
        say_state(changed)


def release(  # noqa: PLR0917 - one for each option
    run: RunNumber,
    login: As = "",
    look: Annotated[bool, typer.Option("--look", help="Only show all that would happen; releases nothing.")] = False,
    seen: Annotated[
        str, typer.Option("--hash", metavar="HASH", help="Release only what has this hash, as --look shows it.")
    ] = "",
    break_glass: Annotated[
        str, typer.Option(metavar="REASON", help="An emergency, released alone: alarms every approver, is reviewed.")
    ] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let a submitted run out: shows all that will happen, asks, and releases exactly that.

    Whoever made or changed a run cannot release it, in no role and by no door; that takes another approver or admin.
    If anything changes meanwhile (a text, an input, the audience, the time), nothing is released.

    - `notifier campaign release 202603000001 --look` shows it; no login is needed

    - `notifier campaign release 202603000001 --as chen`

    - `notifier campaign release 202603000001 --as chen --hash 3f9c0a1b2c3d --yes`, for a script that looked before

    - `notifier campaign release 202603000001 --as lin --break-glass "branch on fire, nobody else reachable"`
    """
    if yes and not (seen or look):
        complain("--yes releases unseen. Say what you looked at with --hash, as --look shows it")
        raise typer.Exit(WRONG_USAGE)
    if look:
        _look(run, as_json=as_json)
        return
    credentials = ask_who(login)

    async def work(settings: Settings, database: Database) -> Run:
        by = await find_actor(database, credentials)
        async with database.transaction() as tx:
            found, authors = await _review(tx, settings, run)
        if not as_json:
            _say_review(found, authors)
        digest = _digest(found)
        if seen and not digest.hex().startswith(seen.lower()):
            raise Conflict(f"run {run} is not what you looked at any more: its hash is {_short(digest)}")
        confirm(f"Release run {run}, {_short(digest)}, as {by.name}?", yes=yes)
        async with database.transaction() as tx:
            released = await release_run(tx, run, by, hash=digest, break_glass=break_glass)
        await ring(settings)
        return released

    released = with_rows(work)
    if as_json:
        say_json(run_facts(released))
    else:
        say_state(released)


def _look(number: int, *, as_json: bool) -> None:
    async def work(settings: Settings, database: Database) -> tuple[Review, list[str]]:
        async with database.transaction() as tx:
            return await _review(tx, settings, number)

    found, authors = with_rows(work)
    if as_json:
        say_json(_review_facts(found, authors))
    else:
        _say_review(found, authors)


async def _review(tx: Tx, settings: Settings, number: int) -> tuple[Review, list[str]]:
    await get_run_line(tx, TEAM, number)
    run = await get_run(tx, number)
    return await review_run(tx, run, site=settings.public_url), await names_of(tx, TEAM, run.authors)


def _digest(found: Review) -> bytes:
    if found.facts is None:
        missing = f"inputs are missing: {', '.join(found.missing)}" if found.missing else found.problem
        raise Conflict(f"run {found.run.id} cannot be released: {missing}")
    return found.facts.hash


def _short(digest: bytes) -> str:
    return digest.hex()[:_HASH_SHOWN]


def _review_facts(found: Review, authors: list[str]) -> dict[str, object]:
    return {
        **run_facts(found.run),
        "hash": found.facts.hash.hex() if found.facts else None,
        "needs_second": found.facts.needs_second if found.facts else None,
        "authors": authors,
        "contacts": found.facts.contacts if found.facts else None,
        "starts_at": found.starts_at,
        "done_at": found.done_at,
        "inputs": dict(found.run.inputs),
        "messages": found.messages,
        "refused": found.refused,
        "parts": found.parts,
        "costs": found.costs,
        "steps": [step_facts(step) for step in found.forecast.steps] if found.forecast else [],
        "versions": [f"{one.kind} {one.key} v{one.version}" for one in found.versions],
        "missing": list(found.missing),
        "problem": found.problem,
    }


def _say_review(found: Review, authors: list[str]) -> None:
    """All that a release lets out, in the order one asks."""
    run, zone = found.run, found.bank.zone
    title = found.campaign.title.get(found.bank.default_locale, found.bank.default_locale)
    say(f"Run {run.id}, {run.state}: {title} ({run.campaign_key})")
    if run.drill:
        say("An exercise: stamped as one, never to customers.")
    facts: list[tuple[str, object]] = [
        ("made by", ", ".join(authors) or run.launched_by),
        ("purpose", run.purpose),
        ("starts", f"{to_local(found.starts_at, zone):%Y-%m-%d %H:%M} {zone}" if found.starts_at else "once released"),
        ("done about", f"{to_local(found.done_at, zone):%Y-%m-%d %H:%M} {zone}" if found.done_at else "unknown"),
        ("list", run.audience_list or "everybody the campaign means"),
        *([("segment", found.segment)] if found.segment else []),
        *((f"input {name}", _spell(value)) for name, value in run.inputs.items()),
        ("made of", ", ".join(f"{one.kind} {one.key} v{one.version}" for one in found.versions)),
        ("links to", ", ".join(_domains(found)) or "nowhere"),
        ("not sent", describe_counts(found.refused)),
    ]
    if found.parts:
        costs = ", ".join(f"{cost:,.2f} {currency}" for currency, cost in found.costs.items())
        facts.append(("SMS", f"{found.parts:,} parts at most{f', {costs}' if costs else ''}"))
    width = max(len(name) for name, _ in facts) + 2
    for name, value in facts:
        say(f"{name:<{width}}{value}")
    say()
    if found.forecast:
        say_forecast(found.forecast)
    _say_texts(found)
    say()
    if found.facts:
        say(f"hash {_short(found.facts.hash)}")
        if not found.facts.needs_second:
            say("It reaches neither customers nor the public: its author may release it.")
    elif found.missing:
        say(f"inputs are missing: {', '.join(found.missing)}")
    else:
        say(f"problem: {found.problem}")


def _spell(value: object) -> str:
    if isinstance(value, Mapping):
        return "  ".join(f"{locale}: {text}" for locale, text in value.items())
    return str(value)


def _domains(found: Review) -> list[str]:
    links = (link for step in found.steps for link in step.links)
    return sorted({link.domain if link.to != "other" else f"{link.domain} (not ours!)" for link in links})


def _say_texts(found: Review) -> None:
    """Each step × channel × language once, as text."""
    for step in found.steps:
        shown: set[tuple[str, str]] = set()
        for sample in step.samples:
            if (sample.channel.value, sample.locale) in shown:
                continue
            shown.add((sample.channel.value, sample.locale))
            say(f"\n── {step.step.name} · {sample.channel} · {sample.locale} ──")
            if sample.problem or sample.content is None:
                say(f"problem: {sample.problem}")
                continue
            if isinstance(sample.content, EmailContent):
                say(f"{sample.content.subject}\n")
            say(sample.content.text.strip())


def review(
    run: RunNumber,
    text: Annotated[str, typer.Option("--note", help="What you found, even if all was well.")],
    login: As = "",
) -> None:
    """Look afterwards at an emergency that one person released alone, and write down what you found.

    - `notifier campaign review 202603000001 --note "right and in time" --as chen`
    """
    credentials = ask_who(login)

    async def work(_settings: Settings, database: Database) -> None:
        by = await find_actor(database, credentials)
        async with database.transaction() as tx:
            await get_run_line(tx, TEAM, run)
            await review_break_glass(tx, run, by, text)

    with_rows(work)
    say(f"The release of run {run} is reviewed.")


def add_to(campaign: typer.Typer) -> None:
    """Put these commands under `campaign`."""
    campaign.command()(submit)
    campaign.command()(release)
    campaign.command("return")(give_back)
    campaign.command()(reschedule)
    campaign.command()(review)
