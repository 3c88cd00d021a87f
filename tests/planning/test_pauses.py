"""Pause: what comes back too often stops by itself, once for a figure; an emergency goes on and says so."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from notifier.domain.pause import STANDARD, Bounds, Figures, first_of, passes
from notifier.domain.person import Role
from notifier.planning.control import resume_run
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.pauses import add_figures, pause_troubled_runs
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.pauses import Outcome
from notifier.store.runs import Run
from notifier.store.views.overview import list_halted
from tests.builders import BANK, add_contact, campaign, define, execute, fetch, person, released, set_now

BOUNDS = "pause: {bounces: 4%, complaints: 1%, after: 50}\n"
REJECTED = "550 5.1.1 no such user"


async def scene(database: Database, settings: Settings, folder: Path, text: str, bank: str = BANK) -> Run:
    """A run that goes out, made by somebody who can be written to."""
    await set_now(database)
    await define(database, folder, text, **{"campaigns/bank.yaml": bank})
    for number in (1, 2, 3):
        await add_contact(database, settings, f"c{number}")
    async with database.transaction() as tx:
        author = await person(tx, "author", Role.AUTHOR)
        run = await launch_campaign(tx, team_id=1, draft=Draft(campaign_key="news", inputs={}), by=author)
        run = await released(tx, run)
        await tx.execute("UPDATE notifier.users SET email = login || '@example.com', phone = ''")
    await plan_due(database)
    return run


async def tell(database: Database, run: Run, *outcomes: tuple[str, str, int]) -> None:
    """So many more messages of the run ended like this."""
    for state, reason, count in outcomes:
        await execute(
            database,
            """
            INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
            VALUES ($1, 'inform', 'email', $2, $3, $4)
            """,
            run.id,
            state,
            reason,
            count,
        )


async def complain(database: Database, run: Run) -> None:
    """Every message of the run is called spam, twice."""
    for key in ("first", "second"):
        await execute(
            database,
            """
            INSERT INTO notifier.events (run_id, message_id, event_key, kind)
            SELECT run_id, id, $2, 'complained' FROM notifier.messages WHERE run_id = $1
            """,
            run.id,
            key,
        )


async def state(database: Database) -> tuple[str, str]:
    ((now, problem),) = await fetch(database, "SELECT state, problem FROM notifier.runs")
    return now, problem


@pytest.mark.parametrize(
    ("outcomes", "problem"),
    [
        ([("accepted", "", 96), ("bounced", "", 4)], ""),
        ([("accepted", "", 95), ("bounced", "", 5)], "5.00 % of its 100 messages by email came back or were rejected"),
        ([("delivered", "", 95), ("failed", REJECTED, 5)], "5.00 % of its 100 messages by email came back"),
        ([("delivered", "", 95), ("failed", "spam", 50)], ""),  # the sender's fault, not the recipients'
        ([("accepted", "", 29), ("bounced", "", 20)], ""),  # too few to say
        ([("queued", "", 900), ("bounced", "", 3), ("accepted", "", 57)], "5.00 % of its 60 messages by email"),
    ],
)
async def test_a_run_of_which_too_much_comes_back_is_paused(
    database: Database, settings: Settings, tmp_path: Path, outcomes: list[tuple[str, str, int]], problem: str
) -> None:
    run = await scene(database, settings, tmp_path, campaign(more=BOUNDS))
    await tell(database, run, *outcomes)
    assert await pause_troubled_runs(database) == bool(problem)
    now, said = await state(database)
    assert now == ("stopped" if problem else "running")
    assert said.startswith(problem)


async def test_a_run_called_spam_too_often_is_paused(database: Database, settings: Settings, tmp_path: Path) -> None:
    run = await scene(database, settings, tmp_path, campaign(), bank=BANK + BOUNDS)
    await tell(database, run, ("accepted", "", 301))
    await complain(database, run)
    assert await pause_troubled_runs(database) == 0  # three of 301
    await tell(database, run, ("accepted", "", -2))
    assert await pause_troubled_runs(database) == 1
    assert (await state(database))[1] == "1.00 % of its 299 messages by email were reported as spam, more than 1 %"


async def test_a_pause_is_told_shown_and_audited(database: Database, settings: Settings, tmp_path: Path) -> None:
    run = await scene(database, settings, tmp_path, campaign(more=BOUNDS))
    await tell(database, run, ("accepted", "", 90), ("bounced", "", 10))
    await pause_troubled_runs(database)
    notes = await fetch(
        database, "SELECT address, content ->> 'subject', content ->> 'text' FROM notifier.notes ORDER BY id"
    )
    assert {address for address, _, _ in notes} == {"author@example.com", "checker@example.com"}
    assert all("was paused" in text and "10.00 %" in text and f"/runs/{run.id}\n" in text for _, _, text in notes)
    async with database.transaction() as tx:
        (halted,) = await list_halted(tx, 1)
    assert halted.problem.startswith("10.00 %")
    acts = await fetch(database, "SELECT act, actor FROM notifier.audit ORDER BY id DESC LIMIT 1")
    assert acts == [("run.paused", "schedule")]


async def test_after_a_resume_only_what_is_worse_by_half_pauses_again(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run = await scene(database, settings, tmp_path, campaign(more=BOUNDS))
    await tell(database, run, ("accepted", "", 90), ("bounced", "", 10))
    assert await pause_troubled_runs(database) == 1
    assert await pause_troubled_runs(database) == 0
    async with database.transaction() as tx:
        await resume_run(tx, run.id, await person(tx, "op", Role.OPERATOR))
    await tell(database, run, ("bounced", "", 5))  # 14.3 %
    assert await pause_troubled_runs(database) == 0
    await tell(database, run, ("bounced", "", 2))  # 15.9 %
    assert await pause_troubled_runs(database) == 1
    assert (await state(database))[0] == "stopped"


async def test_each_channel_pauses_for_its_own_figure(database: Database, settings: Settings, tmp_path: Path) -> None:
    run = await scene(database, settings, tmp_path, campaign(more=BOUNDS))
    await tell(database, run, ("accepted", "", 90), ("bounced", "", 10))
    for channel, ended, count in (("sms", "bounced", 1), ("sms", "accepted", 1)):  # too few to say, though half of it
        await execute(
            database,
            "INSERT INTO notifier.tallies (run_id, step, channel, state, delta) VALUES ($1, 'inform', $2, $3, $4)",
            *(run.id, channel, ended, count),
        )
    assert await pause_troubled_runs(database) == 1
    assert await fetch(database, "SELECT paused_for FROM notifier.runs") == [({"email bounces": 10.0},)]
    async with database.transaction() as tx:
        await resume_run(tx, run.id, await person(tx, "op", Role.OPERATOR))
    await execute(database, "UPDATE notifier.tallies SET delta = 60 WHERE channel = 'sms' AND state = 'accepted'")
    await execute(database, "UPDATE notifier.tallies SET delta = 5 WHERE channel = 'sms' AND state = 'bounced'")
    assert await pause_troubled_runs(database) == 1
    assert "by sms" in (await state(database))[1]


async def test_an_emergency_goes_on_and_says_so_once(database: Database, settings: Settings, tmp_path: Path) -> None:
    run = await scene(database, settings, tmp_path, campaign(purpose="emergency", more=BOUNDS))
    await tell(database, run, ("accepted", "", 90), ("bounced", "", 10))
    assert [await pause_troubled_runs(database) for _ in range(2)] == [1, 0]
    assert await state(database) == ("running", "")
    subjects = await fetch(database, "SELECT DISTINCT content ->> 'subject' FROM notifier.notes")
    assert subjects == [("[ALERT] News: too much comes back, and it goes on",)]


@pytest.mark.parametrize(
    ("figure", "before", "does"), [(2.0, 0.0, False), (2.1, 0.0, True), (3.0, 2.1, False), (3.2, 2.1, True)]
)
def test_a_figure_pauses_once(figure: float, before: float, does: bool) -> None:
    assert passes(figure, 2.0, before) == does


def test_each_bound_is_the_first_that_says_anything() -> None:
    given = first_of(Bounds(after=10), Bounds(after=20, bounces_pct=5.0))
    assert given == Bounds(after=10, bounces_pct=5.0, complaints_pct=STANDARD.complaints_pct)


def test_channels_are_judged_each_on_its_own() -> None:
    def outcome(channel: str, state: str, count: int) -> Outcome:
        return Outcome(run_id=1, channel=channel, state=state, reason="", count=count)  # type: ignore[arg-type]

    told: Mapping[str, Figures] = add_figures(
        [outcome("sms", "bounced", 5), outcome("email", "accepted", 90), outcome("sms", "delivered", 5)]
    )
    assert {channel: one.bounces_pct for channel, one in told.items()} == {"sms": 50.0, "email": 0.0}
