"""The review tells what a release would do: whom it reaches, what it says and costs, until when it takes."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.person import Person
from notifier.domain.run import run_name
from notifier.planning.draft import Draft, draft_run
from notifier.planning.remarks import Remark, Weight, list_remarks, tell_changes
from notifier.planning.review import Pinned, Review, review_run
from notifier.settings import Settings
from notifier.store import runs
from notifier.store.database import Database
from notifier.store.runs import Run
from notifier.store.views.samples import Why
from tests.builders import (
    ACCOUNTS,
    NOON,
    OVERRIDE,
    add_contact,
    campaign,
    define,
    drain,
    execute,
    launch,
    launch_and_plan,
    release_by_another,
    set_now,
    suppress,
)

STEPS = "inform: {channels: [email, sms], template: note}\npost: {social: [wall, paper], template: note}"
PRICED = {"campaigns/accounts/sms.yaml": ACCOUNTS["sms"] + "cost_per_part: 0.05\ncurrency: CNY\nper_second: 10\n"}
SLOW_MAIL = {"campaigns/accounts/email.yaml": ACCOUNTS["email"] + "per_second: 0.001\n"}


async def _draft(database: Database, **more: Any) -> Run:
    draft = Draft(**{"campaign_key": "news", "at": NOON + timedelta(hours=1), **more})
    async with database.transaction() as tx:
        return await draft_run(tx, team_id=1, draft=draft, by=Person(name="lin"))


async def _review(database: Database, run: Run, site: str = "") -> Review:
    async with database.transaction() as tx:
        return await review_run(tx, await runs.get_run(tx, run.id), site=site)


async def _reviewed(database: Database, **more: Any) -> Review:
    return await _review(database, await _draft(database, **more))


def _said(review: Review) -> dict[str, Mapping[str, object]]:
    return {remark.text: remark.values for remark in list_remarks(review)}


def _find(review: Review, part: str) -> Remark:
    (found,) = [remark for remark in list_remarks(review) if part in remark.text]
    return found


async def test_it_counts_whom_a_release_reaches_and_who_is_refused(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    await add_contact(database, settings, "c1", phone="+12125550101")
    await add_contact(database, settings, "c2", opt_out=("email",))
    await add_contact(database, settings, "c3")
    await suppress(database, settings, "c3@example.com", "hard-bounce")
    found = await _reviewed(database)
    assert found.facts is not None
    assert found.facts.contacts == 3
    assert found.messages == 2 + 2
    assert found.refused == {"no-address": 2, "opted-out": 1, "suppressed: hard-bounce": 1}
    assert found.starts_at == NOON + timedelta(hours=1)
    assert found.facts.needs_second


async def test_every_channel_and_locale_is_rendered_for_real_contacts(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    await add_contact(database, settings, "long", name="欧阳" * 15)
    found = await _reviewed(database, inputs={"word": "暂停"})
    inform, post = found.steps
    told = [(one.channel, one.locale, one.who and one.who.why, one.contacts) for one in inform.samples]
    assert told == [
        ("email", "zh-CN", Why.LONGEST_NAME, 1),
        ("email", "en", None, 0),
        ("sms", "zh-CN", Why.LONGEST_NAME, 1),
        ("sms", "en", None, 0),
    ]
    texts = [one.content.text for one in (*inform.samples, *post.samples) if one.content]
    assert len(texts) == 5
    assert all("暂停" in text for text in texts)
    assert "欧阳" * 15 in texts[0]
    assert _find(found, "longest name").values == {"count": 30}


async def test_sms_cost_by_the_parts_of_each_language(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="inform: {channels: [sms], template: note}"), **PRICED)
    await add_contact(database, settings, "c1", phone="+12125550101", name="欧阳" * 35)
    await add_contact(database, settings, "c2", phone="+12125550102")
    await add_contact(database, settings, "c3", phone="+12125550103", locale="en", name="Al")
    found = await _reviewed(database)
    (way,) = found.steps[0].ways
    assert way.bill is not None
    assert (way.bill.worst_parts, way.bill.total_parts) == (2, 2 * 2 + 1)
    assert way.bill.worst_cost == pytest.approx(0.10)
    assert found.costs == pytest.approx({"CNY": 0.25})
    assert found.parts == 5
    assert way.pace.done_at is not None
    assert found.done_at == way.pace.done_at
    assert timedelta() < found.done_at - (NOON + timedelta(hours=1)) < timedelta(seconds=1)


async def test_without_a_price_there_are_only_parts(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="inform: {channels: [sms], template: note}"))
    await add_contact(database, settings, "c1", phone="+12125550101")
    found = await _reviewed(database)
    assert found.costs == {}
    assert found.parts == 1
    assert _find(found, "price").weight is Weight.NOTE
    assert _find(found, "unknown").values["channel"] == "sms"
    assert found.done_at is None


async def test_the_speed_is_that_of_the_last_runs_where_no_account_says_it(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    for number in range(30):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    await drain(settings, database)
    await execute(
        database,
        "UPDATE notifier.messages SET accepted_at = accepted_at + id % 10 * interval '1 s' WHERE run_id = $1",
        run.id,
    )
    (way,) = (await _reviewed(database)).steps[0].ways
    assert way.is_measured
    assert way.per_second is not None
    assert 2 < way.per_second < 4
    assert way.pace.done_at is not None


async def test_what_is_not_done_by_night_waits_and_what_waits_too_long_expires(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), **SLOW_MAIL)
    for number in range(100):
        await add_contact(database, settings, f"c{number}")
    found = await _reviewed(database)
    wait = _find(found, "quiet hours")
    assert wait.values["until"] == NOON.replace(hour=0) + timedelta(days=1)
    assert _find(found, "run out of time").weight is Weight.STOP


async def test_quiet_hours_of_two_zones_are_one_line(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), **SLOW_MAIL)
    for number in range(100):
        await add_contact(database, settings, f"c{number}", zone="Asia/Tokyo" if number % 2 else "Asia/Shanghai")
    wait = _find(await _reviewed(database), "quiet hours")
    assert wait.values["until"] < wait.values["latest"]  # type: ignore[operator]


async def test_an_empty_audience_and_a_start_in_the_past_are_told(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    found = await _reviewed(database, at=NOON - timedelta(hours=1))
    assert "Nobody is meant: the audience is empty." in _said(found)
    assert "Its start lies in the past: it goes out as soon as it is released." in _said(found)
    await set_now(database, NOON + timedelta(hours=24))
    assert "Its time is over: nothing of it would be sent. Choose another time." in _said(
        await _review(database, found.run)
    )


async def test_other_runs_of_the_campaign_about_the_same_time_are_told(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    assert "Another run" not in " ".join(_said(await _reviewed(database, at=NOON + timedelta(days=20))))
    gone = await launch_and_plan(database)
    await launch(database, at=NOON + timedelta(days=6))
    await launch(database, at=NOON + timedelta(days=9))
    told = [one.values for one in list_remarks(await _reviewed(database)) if "Another run" in one.text]
    assert [one["run"] for one in told] == [run_name(gone.id), run_name(gone.id + 1)]
    assert told[0]["count"] == 1


async def test_a_newer_version_is_told_until_the_run_is_edited(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    run = await _draft(database)
    await define(database, tmp_path, **{"templates/note/sms.en.txt": "new"})
    found = _find(await _review(database, run), "has changed")
    assert found.values == {"key": "note", "newest": 2, "version": 1}


async def test_the_accounts_it_leaves_by_are_told_with_their_versions(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="inform: {channels: [email], template: note}"))
    run = await _draft(database)
    await define(database, tmp_path, **SLOW_MAIL)
    found = await _review(database, run)
    accounts = [one for one in found.versions if one.kind == "account"]
    assert accounts == [Pinned(kind="account", key="email", version=1, newest=2)]
    assert _find(found, "has changed").values == {"key": "email", "newest": 2, "version": 1}
    await define(database, tmp_path, campaign(steps="post: {social: [wall], template: note}"))
    posted = await _reviewed(database, at=NOON + timedelta(hours=2))
    assert [one.key for one in posted.versions if one.kind == "account"] == ["wall"]


async def test_a_language_that_falls_back_is_told(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1", locale="fr")
    found = _find(await _reviewed(database), "read %(locale)s")
    assert (found.values["count"], found.values["locale"], found.values["other"]) == (1, "fr", "zh-CN")


async def test_links_are_sorted_by_where_they_lead(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    text = "{{ greeting }} https://www.riverside-bank.example/x http://evil.example/y {{ links.unsubscribe }}"
    steps = "inform: {channels: [sms], template: note}"
    files = {"templates/note/sms.zh-CN.txt": text}
    await define(database, tmp_path, campaign(more="topic: education\n", steps=steps), **files)
    run = await _draft(database)
    found = await _review(database, run, site=settings.public_url)
    links = {link.address.partition("/u/")[0]: link.to for link in found.steps[0].links}
    assert links == {
        "https://www.riverside-bank.example/x": "bank",
        "http://evil.example/y": "other",
        settings.public_url: "service",
    }
    assert _find(found, "leaves the bank").values["domain"] == "evil.example"


async def test_an_exercise_and_an_override_are_told(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(purpose="emergency", steps=STEPS), **{"campaigns/bank.yaml": OVERRIDE})
    await add_contact(database, settings, "c1")
    found = await _reviewed(database, drill=True)
    assert any("exercise" in text for text in _said(found))
    assert any("opted out" in text for text in _said(found))
    assert found.messages == 0
    real = await _reviewed(database, at=None)
    assert _find(real, "wait for a person").values == {"count": 1}
    assert real.starts_at is None


async def test_missing_inputs_leave_the_texts_with_examples(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    needed = campaign(more="audience: {attribute: city, is: {input: city}}\n").replace(
        "inputs:\n", "inputs:\n  city: {type: text, label: {zh-CN: 城市, en: City}, example: 上海}\n"
    )
    await define(database, tmp_path, needed)
    run = await _draft(database, inputs={"city": "苏州"})
    await execute(
        database, "UPDATE notifier.runs SET state = 'waiting', inputs = inputs - 'city' WHERE id = $1", run.id
    )
    found = await _review(database, run)
    assert found.missing == ("city",)
    assert (found.facts, found.forecast) == (None, None)
    assert all(sample.content for sample in found.steps[0].samples)
    assert _find(found, "not filled in").weight is Weight.STOP


async def test_a_text_that_cannot_be_made_stops(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    steps = "inform: {channels: [sms], template: note}"
    await define(database, tmp_path, campaign(steps=steps))
    await add_contact(database, settings, "c1", phone="+12125550101", name="长" * 2000)
    found = _find(await _reviewed(database), "cannot be made")
    assert found.weight is Weight.STOP
    assert "parts" in str(found.values["problem"])


async def test_a_released_run_can_be_looked_at_as_before(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    await drain(settings, database)
    found = await _review(database, run)
    assert not found.is_open
    assert found.starts_at is not None
    assert found.steps[0].samples[0].content is not None


async def test_what_changed_since_is_named() -> None:
    before = {"contacts": 10, "inputs": {"word": "a"}, "starts": "at once", "drill": False}
    after = {"contacts": 12, "inputs": {"word": "b"}, "starts": "at once", "drill": False}
    told = tell_changes(before, after)
    assert [one.text for one in told] == [
        "Contacts meant: %(before)s before, %(after)s now.",
        "The inputs were changed.",
    ]
    assert told[0].values == {"before": 10, "after": 12}
    assert tell_changes(after, after) == []
    assert [one.text for one in tell_changes({"contacts": "<b>"}, {"contacts": 3})] == ["Something was changed."]


async def test_the_review_of_a_run_that_is_edited_shows_another_hash(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    first, second = await _reviewed(database), await _reviewed(database, at=NOON + timedelta(hours=2))
    assert first.facts is not None
    assert second.facts is not None
    assert first.facts.hash != second.facts.hash
    again = await _review(database, first.run)
    assert again.facts is not None
    assert again.facts.hash == first.facts.hash
    await execute(database, "UPDATE notifier.runs SET state = 'submitted' WHERE id = $1", first.run.id)
    await release_by_another(database, first.run.id)
