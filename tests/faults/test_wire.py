"""The way to the mail server breaks: what the server may have taken is in doubt, everything else goes out once."""

from pathlib import Path

import pytest

from benchmarks.fault_proxy import fault_proxy
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import launch
from tests.faults.mother import Mother
from tests.faults.scene import MARKETING, SERVICE, assert_ledger_agrees, eventually, set_scene, settle_all
from tests.peers.recorder import recorder
from tests.worker.processes import until

_PEOPLE = 120
_LOST = 5
_QUICK = ", timeout_s: 5, final_timeout_s: 2, connect_timeout_s: 5"


@pytest.mark.parametrize("cut", [True, False], ids=["connection cut", "silence"])
async def test_a_reply_lost_after_the_final_dot_is_a_doubt_and_a_resend_keeps_its_id(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path, cut: bool
) -> None:
    async with recorder(tmp_path / "book") as book, fault_proxy(book.ports["email"]) as proxy:
        await set_scene(database, settings, tmp_path, people=_PEOPLE, port=proxy.port, more=_QUICK)
        async with mother.worker(settings):
            for purpose in (SERVICE, MARKETING):
                proxy.lose_replies(_LOST, cut=cut)
                await launch(database, purpose)
                await eventually(lambda: proxy.losses_left == 0)
                await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    assert proxy.done["lost"] == 2 * _LOST
    assert found["uncertain"] == _LOST, "an offer in doubt waits for a person"
    assert (found["doubted"], found["doubled"]) == (2 * _LOST, _LOST), "news go again, with the same Message-ID"


async def test_connections_reset_at_random_lose_and_double_nothing_the_ledger_does_not_know(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book, fault_proxy(book.ports["email"], round_trip_s=0.01) as proxy:
        await set_scene(database, settings, tmp_path, people=400, port=proxy.port, more=_QUICK)
        await launch(database, SERVICE)
        await book.tell(dot_delay_s=0.01)
        async with mother.worker(settings):
            for nth in range(1, 6):
                await book.took(nth * 50)
                proxy.reset()
            proxy.cut_after = 20_000  # in the middle of a body
            await eventually(lambda: proxy.done["cut"] >= 2)
            proxy.cut_after = None
            await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    assert proxy.done["reset"] >= 5
    assert found["accepted"] == 400


async def test_a_server_that_refuses_connections_gets_everything_once_when_it_is_back(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    async with recorder(tmp_path / "book") as book, fault_proxy(book.ports["email"]) as proxy:
        await set_scene(database, settings, tmp_path, people=40, port=proxy.port, more=_QUICK)
        proxy.refuse()
        await launch(database, MARKETING)
        async with mother.worker(settings):
            await until(database, "SELECT count(*) > 0 FROM notifier.events WHERE kind = 'deferred'", True, within_s=60)
            assert book.taken() == []
            await proxy.accept()
            await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    assert (found["accepted"], found["doubted"]) == (40, 0)


async def test_a_server_that_leaves_or_refuses_for_now_gets_everything_once(
    database: Database, settings: Settings, mother: Mother, tmp_path: Path
) -> None:
    """421 in the middle of a session, and 451 to every third recipient."""
    async with recorder(tmp_path / "book") as book:
        await set_scene(database, settings, tmp_path, people=90, port=book.ports["email"], more=_QUICK)
        await book.tell(leave_after=7, refuse_pct=33)
        await launch(database, MARKETING)
        async with mother.worker(settings):
            await until(
                database, "SELECT count(*) >= 10 FROM notifier.events WHERE kind = 'deferred'", True, within_s=60
            )
            await book.tell(refuse_pct=0)
            await settle_all(database)
        found = await assert_ledger_agrees(book, database, settings)
    assert (found["accepted"], found["doubled"]) == (90, 0)
