"""A forecast counts as the plan and the claim will judge, and writes nothing."""

from collections import Counter
from pathlib import Path

import pytest

from notifier.domain.errors import InputError
from notifier.planning.forecast import Forecast, forecast_campaign
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import (
    BANK,
    OVERRIDE,
    add_contact,
    campaign,
    define,
    drain,
    execute,
    fetch,
    launch_and_plan,
    set_now,
    suppress,
)

LANES = {"emergency": 1, "transactional": 2, "service": 3, "marketing": 4}
STEPS = "every: {channels: [email, sms], template: note}\nfirst: {by: [sms, email], template: note}"


async def _forecast(database: Database, key: str = "news", audience_list: str = "", **inputs: object) -> Forecast:
    async with database.transaction() as tx:
        return await forecast_campaign(tx, 1, key, inputs, audience_list=audience_list)


async def _people(database: Database, settings: Settings) -> None:
    """Everybody who can be told apart by address, consent and block."""
    reasons = ("", "opt-out", "complaint", "manual", "hard-bounce", "invalid")
    consents = ((), ("email",), ("sms",), ("email/education",), ("sms/education",))
    number = 0
    for reason in reasons:
        for opt_out in consents:
            for opt_in in (("email/education", "sms"), ()):
                number += 1
                name = f"c{number:03}"
                phone = f"+1212555{100 + number:04}" if number % 3 else ""
                heard = tuple(one for one in opt_in if one not in opt_out)
                await add_contact(database, settings, name, phone=phone, opt_in=heard, opt_out=opt_out)
                if reason:
                    await suppress(database, settings, f"{name}@example.com", reason)
    await add_contact(database, settings, "none", email="")


async def _really(database: Database, step: str) -> dict[str, Counter[str]]:
    """Channel → reason of refusal, "" = it went → messages."""
    rows = await fetch(
        database,
        "SELECT channel, CASE state WHEN 'refused' THEN reason ELSE '' END FROM notifier.messages WHERE step = $1",
        step,
    )
    return {channel: Counter(why for where, why in rows if where == channel) for channel, _ in rows}


@pytest.mark.parametrize("bank", [BANK, OVERRIDE], ids=["obeys", "overrides"])
@pytest.mark.parametrize("purpose", LANES)
async def test_a_forecast_is_what_becomes_of_the_messages(
    database: Database, settings: Settings, tmp_path: Path, purpose: str, bank: str
) -> None:
    await set_now(database)
    news = campaign(purpose=purpose, more="topic: education\n", steps=STEPS)
    await define(database, tmp_path, news, **{"campaigns/bank.yaml": bank})
    await _people(database, settings)
    expected = await _forecast(database)
    await launch_and_plan(database)
    await drain(settings, database, LANES[purpose])
    for step in expected.steps:
        told = {one.channel: Counter({**one.refused, "": one.reachable}) for one in step.reach if one.meant}
        assert {channel: +counts for channel, counts in told.items()} == await _really(database, step.step)


async def test_a_forecast_for_a_list_counts_its_members_alone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await define(database, tmp_path, campaign())
    for name in ("c1", "c2", "c3"):
        await add_contact(database, settings, name)
    await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'visitors')")
    await execute(
        database,
        """
        INSERT INTO notifier.list_members
        SELECT l.id, c.id FROM notifier.lists l, notifier.contacts c WHERE c.external_id < 'c3'
        """,
    )
    found = await _forecast(database, audience_list="visitors")
    assert (found.contacts, found.steps[0].messages) == (2, 2)
    assert (await _forecast(database)).contacts == 3
    with pytest.raises(InputError, match="there is no list 'nobody'"):
        await _forecast(database, audience_list="nobody")
    with pytest.raises(InputError, match="wrod: is not an input"):
        await _forecast(database, wrod="x")


async def test_a_post_counts_its_accounts(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign(steps="post: {social: [wall, paper], template: note}"))
    step = (await _forecast(database)).steps[0]
    assert (step.messages, step.reach, step.accounts) == (2, (), ("wall", "paper"))
