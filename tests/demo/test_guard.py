"""What the demo refuses to touch."""

import shutil
from pathlib import Path

import pytest

from notifier.cli.serve import demo_folders
from notifier.demo import DemoOptions, run_demo
from notifier.demo.guard import mark_prepared, refuse_foreign_data, refuse_sending_accounts
from notifier.demo.story import TEAM
from notifier.domain.contact import Contact, ContactKind
from notifier.domain.errors import ServiceError
from notifier.planning.apply import apply_definitions
from notifier.planning.definitions.folder import load_definitions
from notifier.settings import Settings, load_settings, starter_dir
from notifier.store.contacts import count_contacts, upsert_contact
from notifier.store.database import Database
from notifier.store.definitions import list_latest

KEY = b"k" * 32


async def add_customer(database: Database) -> None:
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, Contact(external_id="C1", email="c1@example.com"), KEY)


def sending_folder(folder: Path) -> Path:
    for part in ("campaigns", "templates"):
        shutil.copytree(starter_dir() / part, folder / part)
    (folder / "campaigns/accounts/email.yaml").write_text(
        "account: email\ntitle: {zh-CN: 邮件, en: E-mail}\nchannel: email\nprovider: smtp\n"
        "settings: {host: mail.example.com}\n"
    )
    return folder


async def test_a_database_with_contacts_of_others_is_left_alone(settings: Settings, database: Database) -> None:
    await add_customer(database)
    with pytest.raises(ServiceError, match="holds contacts that no demo made"):
        await run_demo(settings, DemoOptions(once=True))
    async with database.transaction() as tx:
        assert await count_contacts(tx, TEAM) == {ContactKind.CUSTOMER: 1}
        assert not await list_latest(tx, TEAM)


async def test_a_database_a_demo_began_is_used_again(database: Database) -> None:
    async with database.transaction() as tx:
        await mark_prepared(tx)
    await add_customer(database)
    async with database.transaction() as tx:
        await refuse_foreign_data(tx)


async def test_a_demo_that_became_an_installation_is_left_alone(database: Database, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        await mark_prepared(tx)
    await apply_definitions(database, load_definitions(sending_folder(tmp_path / "mybank")))
    with pytest.raises(ServiceError, match=r"email \(smtp\)"):
        async with database.transaction() as tx:
            await refuse_foreign_data(tx)


async def test_an_empty_database_may_become_a_demo(database: Database) -> None:
    async with database.transaction() as tx:
        await refuse_foreign_data(tx)


async def test_an_account_that_really_sends_stops_the_demo(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    folder = sending_folder(tmp_path / "mybank")
    with pytest.raises(ServiceError, match=r"campaigns/accounts/email\.yaml \(smtp\)"):
        await run_demo(settings.model_copy(update={"definitions_dir": folder}), DemoOptions(once=True))
    async with database.transaction() as tx:
        assert not await list_latest(tx, TEAM)


def test_the_starter_pack_sends_nothing() -> None:
    refuse_sending_accounts(load_definitions(starter_dir()))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "notify.example.com"])
async def test_logins_everybody_knows_are_not_offered_to_others(settings: Settings, host: str) -> None:
    with pytest.raises(ServiceError, match="passwords are known to everybody"):
        await run_demo(settings.model_copy(update={"web_host": host}), DemoOptions())


async def test_a_given_database_is_never_reset(settings: Settings) -> None:
    with pytest.raises(ServiceError, match="never a given DATABASE_URL"):
        await run_demo(settings, DemoOptions(reset=True))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A current folder with a bank whose accounts really send."""
    folder = sending_folder(tmp_path / "mybank")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NOTIFIER_DATA_DIR", "data")
    monkeypatch.delenv("NOTIFIER_DEFINITIONS_DIR", raising=False)
    return folder


def test_the_current_folder_is_not_what_the_demo_plays(asked: Path) -> None:
    settings = load_settings(**demo_folders())
    assert settings.definitions == starter_dir()


def test_a_folder_named_on_purpose_is(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_DEFINITIONS_DIR", ".")
    assert load_settings(**demo_folders()).definitions == asked


def test_its_data_lie_apart_from_those_of_up(asked: Path) -> None:
    settings = load_settings(**demo_folders())
    assert settings.data_dir == asked / "data" / "demo"
    assert (asked / "data/demo/secret_key").exists()
    assert not (asked / "data/secret_key").exists()
