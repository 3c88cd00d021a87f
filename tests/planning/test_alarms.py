"""Alarms: who is told, in which words, that somebody released alone."""

import re
from pathlib import Path

import pytest

from notifier.domain.note import ORIGIN
from notifier.planning.alarms import alarm_break_glass
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import campaign, define, execute, fetch, launch, set_now
from tests.planning.test_notes import add_user, notes

REASON = "外滩支行积水\r\nBcc: all@example.com <b>x</b>"


async def raised(database: Database, folder: Path, *, reason: str = REASON) -> int:
    """An emergency that `wang` released alone; `lin` and an auditor are there too."""
    await set_now(database)
    await define(database, folder, campaign(purpose="emergency"))
    run = await launch(database)
    by = await add_user(database, "wang", role="approver", email="wang@example.com", name="王敏")
    await add_user(database, "lin", role="approver", email="lin@example.com", phone="+12125550101")
    await add_user(database, "boss", role="admin", email="boss@example.com")
    await add_user(database, "zhou", role="author", email="zhou@example.com")
    await add_user(database, "audit", role="auditor", email="audit@example.com")
    await execute(database, "UPDATE notifier.users SET locale = 'en' WHERE login = 'boss'")
    async with database.transaction() as tx:
        return await alarm_break_glass(tx, run, by, reason)


async def test_every_other_approver_and_admin_is_told(database: Database, tmp_path: Path) -> None:
    assert await raised(database, tmp_path) == 3
    assert {(note["channel"], note["address"], note["kind"]) for note in await notes(database)} == {
        ("email", "lin@example.com", "alarm"),
        ("sms", "+12125550101", "alarm"),
        ("email", "boss@example.com", "alarm"),
    }


async def test_each_reads_it_in_their_language_with_who_why_and_where(database: Database, tmp_path: Path) -> None:
    await raised(database, tmp_path)
    mails = {note["address"]: note["content"] for note in await notes(database) if note["channel"] == "email"}
    chinese, english = mails["lin@example.com"], mails["boss@example.com"]
    assert chinese["subject"] == "【提醒】新闻：已由一人紧急放行，请复核"
    assert english["subject"] == "[ALERT] News: released by one person, please review"
    for mail in (chinese, english):
        assert "王敏" in mail["text"]
        assert "外滩支行积水" in mail["text"]
        assert re.search(rf"{ORIGIN}/runs/\d+/review", mail["text"])


async def test_a_reason_is_a_line_of_text_and_nothing_more(database: Database, tmp_path: Path) -> None:
    await raised(database, tmp_path)
    for note in await notes(database):
        content = note["content"]
        assert "\r" not in str(content)
        assert "\nBcc" not in content["text"]
        assert "<b>" not in content.get("html", "")


async def test_the_sms_is_short_signed_and_says_where_to_look(database: Database, tmp_path: Path) -> None:
    await raised(database, tmp_path, reason="长" * 500)
    (sms,) = [note["content"] for note in await notes(database) if note["channel"] == "sms"]
    assert sms["text"].startswith("【江畔银行】【提醒】王敏")
    assert sms["text"].count("长") == 59
    assert ORIGIN in sms["text"]


async def test_a_disabled_approver_is_not_told(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(purpose="emergency"))
    run = await launch(database)
    by = await add_user(database, "wang", role="approver")
    await add_user(database, "lin", role="approver", email="lin@example.com")
    await execute(database, "UPDATE notifier.users SET disabled_at = now() WHERE login = 'lin'")
    async with database.transaction() as tx:
        assert await alarm_break_glass(tx, run, by, "r") == 0


@pytest.mark.parametrize("missing", ["email", "sms"])
async def test_an_alarm_goes_by_the_channels_there_are(database: Database, tmp_path: Path, missing: str) -> None:
    await set_now(database)
    steps = "inform: {social: [wall], template: note}"
    await define(
        database, tmp_path, campaign(purpose="emergency", steps=steps), **{f"campaigns/accounts/{missing}.yaml": None}
    )
    run = await launch(database)
    by = await add_user(database, "wang", role="approver")
    await add_user(database, "lin", role="admin", email="lin@example.com", phone="+12125550101")
    async with database.transaction() as tx:
        assert await alarm_break_glass(tx, run, by, "r") == 1
    assert [note["channel"] for note in await notes(database)] == [{"email": "sms", "sms": "email"}[missing]]


async def test_a_colleague_of_another_team_is_not_told(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(purpose="emergency"))
    run = await launch(database)
    await execute(database, "INSERT INTO notifier.teams VALUES (2, 'other') ON CONFLICT DO NOTHING")
    by = await add_user(database, "wang", role="approver")
    await add_user(database, "far", role="admin", email="far@example.com")
    await execute(database, "UPDATE notifier.users SET team_id = 2 WHERE login = 'far'")
    async with database.transaction() as tx:
        assert await alarm_break_glass(tx, run, by, "r") == 0
    assert await fetch(database, "SELECT count(*) FROM notifier.notes") == [(0,)]
    await execute(database, "TRUNCATE notifier.users CASCADE")
    await execute(database, "DELETE FROM notifier.teams WHERE id = 2")
