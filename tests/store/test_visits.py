"""An opt-out of a whole channel blocks the address itself; one of a topic does not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from notifier.domain.channel import Channel
from notifier.domain.contact import ConsentAct
from notifier.domain.keys import derive_keys
from notifier.feedback.links import Scope, leave_channels, opt_out
from notifier.settings import Settings
from notifier.store.callbacks import opt_out_contacts, suppress_addresses
from notifier.store.contact_batches import Columns, ConsentRow, write_contacts
from notifier.store.contacts import FIELDS, get_contact, row_of
from notifier.store.database import Database
from tests.builders import add_contact, campaign, define, drain, execute, fetch, launch_and_plan, set_now, states

PHONE = "+12125550123"
TOPIC = campaign(more="topic: notices\n", steps="inform: {channels: [email, sms], template: note}")


async def _sent(database: Database, settings: Settings, tmp_path: Path) -> tuple[int, int]:
    """The run and its e-mail, which went out."""
    await set_now(database)
    await define(database, tmp_path, TOPIC)
    await add_contact(database, settings, "c1", phone=PHONE)
    run = await launch_and_plan(database)
    await drain(settings, database)
    ((message,),) = await fetch(database, "SELECT id FROM notifier.messages WHERE channel = 'email'")
    return run.id, message


async def _blocked(database: Database) -> list[tuple[str, str, str]]:
    return await fetch(database, "SELECT channel, reason, source FROM notifier.suppressions ORDER BY 1")


@pytest.mark.parametrize(
    ("scope", "blocked"), [(Scope.TOPIC, []), (Scope.CHANNEL, [("email", "opt-out", "one-click")])]
)
async def test_an_opt_out_of_the_channel_blocks_the_address(
    database: Database, settings: Settings, tmp_path: Path, scope: Scope, blocked: list[tuple[str, str, str]]
) -> None:
    run, message = await _sent(database, settings, tmp_path)
    for _ in range(2):
        await opt_out(database, run, message, scope=scope, source="one-click")
    assert await _blocked(database) == blocked


async def test_the_preferences_block_each_channel_that_is_left(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message = await _sent(database, settings, tmp_path)
    await leave_channels(database, run, message, channels=["sms"], source="preferences page")
    assert await _blocked(database) == [("sms", "opt-out", "preferences page")]


async def test_the_address_the_message_went_to_is_blocked_as_well_as_the_new_one(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message = await _sent(database, settings, tmp_path)
    await add_contact(database, settings, "c1", phone=PHONE, email="new@example.com")
    await opt_out(database, run, message, scope=Scope.CHANNEL, source="one-click")
    assert [channel for channel, _, _ in await _blocked(database)] == ["email", "email"]


async def test_a_re_import_does_not_undo_an_opt_out(database: Database, settings: Settings, tmp_path: Path) -> None:
    run, message = await _sent(database, settings, tmp_path)
    await opt_out(database, run, message, scope=Scope.CHANNEL, source="one-click")
    async with database.transaction() as tx:
        stored = await get_contact(tx, 1, "c1")
        assert stored
        for at in (None, datetime(2030, 7, 1, tzinfo=UTC)):  # dated later than the opt-out, too
            told = (ConsentRow(Channel.EMAIL, "", ConsentAct.OPT_IN, "import", "people.csv", at),)
            row = row_of(stored.contact, derive_keys(settings.secret).addresses)._replace(consents=told)
            await write_contacts(tx, 1, [row], Columns(fields=FIELDS))
    await add_contact(database, settings, "c2", email="c1@example.com")
    await launch_and_plan(database)
    await drain(settings, database)
    assert {reason for name, state, reason in (await states(database)) if state == "refused"} == {
        "suppressed: opt-out",
        "no-address",
    }
    assert (
        len(await fetch(database, "SELECT FROM notifier.messages WHERE channel = 'email' AND state = 'accepted'")) == 1
    )


async def test_a_stop_told_by_the_carrier_blocks_the_number_also_of_an_erased_contact(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, _ = await _sent(database, settings, tmp_path)
    ((text,),) = await fetch(database, "SELECT id FROM notifier.messages WHERE channel = 'sms'")
    stop = [(run, text, datetime(2030, 6, 12, 5, tzinfo=UTC), "twilio")]
    await execute(database, "DELETE FROM notifier.contacts")
    async with database.transaction() as tx:
        await opt_out_contacts(tx, stop)
    assert await _blocked(database) == [("sms", "opt-out", "twilio")]


async def test_a_stop_older_than_the_newest_opt_in_blocks_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, _ = await _sent(database, settings, tmp_path)
    await add_contact(database, settings, "c1", phone=PHONE, opt_in=("sms",))
    ((text,),) = await fetch(database, "SELECT id FROM notifier.messages WHERE channel = 'sms'")
    async with database.transaction() as tx:
        await opt_out_contacts(tx, [(run, text, datetime(2025, 1, 1, tzinfo=UTC), "twilio")])
    assert await _blocked(database) == []


async def test_a_bad_address_outranks_its_opt_out(database: Database, settings: Settings, tmp_path: Path) -> None:
    run, message = await _sent(database, settings, tmp_path)
    await opt_out(database, run, message, scope=Scope.CHANNEL, source="one-click")
    async with database.transaction() as tx:
        await suppress_addresses(tx, [(run, message, "hard-bounce", "smtp")])
        await suppress_addresses(tx, [(run, message, "complaint", "smtp")])
    assert await _blocked(database) == [("email", "hard-bounce", "smtp")]
