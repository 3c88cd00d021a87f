"""Show: what a message said, again, and whether that is what was sent."""

from pathlib import Path

from notifier.delivery.compose import Composer
from notifier.delivery.materials import Library
from notifier.delivery.show import Shown, show_message
from notifier.domain.channel import EmailContent
from notifier.domain.keys import derive_keys
from notifier.domain.message import MessageId, RunId
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import add_contact, campaign, define, drain, execute, fetch, launch_and_plan, set_now


async def _show(database: Database, settings: Settings) -> Shown:
    ((run_id, message_id),) = await fetch(database, "SELECT run_id, id FROM notifier.messages")
    composer = Composer(settings.public_url, derive_keys(settings.secret).links)
    return await show_message(database, Library(database), composer, RunId(run_id), MessageId(message_id))


async def test_a_sent_message_is_shown_as_it_was_after_its_contact_changed(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(more="topic: notices\n"))
    await add_contact(database, settings, "c1", name="王芳")
    await launch_and_plan(database)
    before = await _show(database, settings)
    assert (before.agrees, before.is_stored) == (None, False)
    await drain(settings, database)
    await add_contact(database, settings, "c1", name="李娜", locale="en")
    shown = await _show(database, settings)
    assert shown.agrees is True
    assert isinstance(shown.content, EmailContent)
    assert "王芳" in shown.content.text


async def test_a_message_that_was_something_else_does_not_agree(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await drain(settings, database)
    await execute(database, "UPDATE notifier.messages SET variables = jsonb_set(variables, '{name}', '\"X\"')")
    assert (await _show(database, settings)).agrees is False


async def test_an_emergency_is_shown_as_kept(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(purpose="emergency"))
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await drain(settings, database, 1)
    shown = await _show(database, settings)
    assert (shown.is_stored, shown.agrees) == (True, True)
