"""A sample says what sending would say: the run's own versions and inputs, a real contact's values."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.channel import Channel, Content, EmailContent, PostContent, SmsContent
from notifier.domain.contact import Contact
from notifier.domain.errors import NotFound, RenderError
from notifier.domain.person import Person
from notifier.planning.draft import Draft, draft_run
from notifier.planning.samples import pick_run_samples, read_material, render_sample
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.runs import Run
from notifier.store.sandbox import read_body
from notifier.store.views.samples import Why
from tests.builders import FILES, NOON, add_contact, campaign, define, drain, fetch, launch_and_plan, set_now

STEPS = "inform: {channels: [email, sms], template: note}\npost: {social: [wall], template: note}"
BRANCHED = {
    "templates/note/template.yaml": FILES["templates/note/template.yaml"].replace(
        "variables:\n", "variables:\n  contact.attributes.branch: {example: 静安支行, optional: true}\n"
    )
}
LONG = Contact(external_id="long", name="欧阳" * 10, attributes={})


async def _draft(database: Database, key: str = "news", *, drill: bool = False, **inputs: object) -> Run:
    async with database.transaction() as tx:
        draft = Draft(campaign_key=key, inputs=inputs, at=NOON + timedelta(hours=1), drill=drill)
        return await draft_run(tx, team_id=1, draft=draft, by=Person(name="lin"))


async def _render(
    database: Database, run: Run, channel: Channel = Channel.SMS, locale: str = "", contact: Contact | None = None
) -> Content:
    step = "post" if channel is Channel.SOCIAL else "inform"
    async with database.transaction() as tx:
        return await render_sample(tx, run, step, channel, locale, contact)


async def test_a_sample_has_the_inputs_of_the_run_and_the_name_of_the_contact(
    database: Database, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    run = await _draft(database, word="暂停")
    found = await _render(database, run, contact=LONG)
    assert isinstance(found, SmsContent)
    assert found.text == "【江畔银行】尊敬的" + LONG.name + "：通知暂停"
    assert found.parts == 1
    mail = await _render(database, run, Channel.EMAIL, "en")
    assert isinstance(mail, EmailContent)
    assert mail.subject == "Note 暂停"
    assert "Alex Chen" in mail.text


async def test_a_post_names_nobody(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    found = await _render(database, await _draft(database), Channel.SOCIAL)
    assert found == PostContent(text="通知好")


async def test_the_versions_are_those_pinned(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    run = await _draft(database)
    await define(database, tmp_path, **{"templates/note/social.zh-CN.txt": "新"})
    assert (await _render(database, run, Channel.SOCIAL)) == PostContent(text="通知好")


async def test_an_exercise_looks_like_one(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    found = await _render(database, await _draft(database, drill=True))
    assert "【演练】" in found.text


async def test_a_sample_s_links_are_as_long_as_the_real_ones_and_do_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="ask: {survey: opinion, by: [sms]}"))
    await add_contact(database, settings, "c1", email="", phone="+12125550101")
    run = await launch_and_plan(database)
    async with database.transaction() as tx:
        sample = await render_sample(tx, run, "ask", Channel.SMS, "", LONG, site=settings.public_url)
    await drain(settings, database)
    ((body,),) = await fetch(database, "SELECT body FROM notifier.sandbox_items")
    text = read_body(body)["text"]
    assert sample.text.rpartition("/s/")[0] == text.rpartition("/s/")[0]
    assert 0 <= len(sample.text) - len(text) <= 7


async def test_what_cannot_be_shown_says_why(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps=STEPS))
    run = await _draft(database)
    async with database.transaction() as tx:
        with pytest.raises(NotFound, match="no step 'nope'"):
            await render_sample(tx, run, "nope", Channel.SMS, "", None)
        with pytest.raises(RenderError, match="does not go by sms"):
            await render_sample(tx, run, "post", Channel.SMS, "", None)


async def test_the_contacts_shown_are_of_the_audience_and_judged_by_what_the_templates_read(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(more="audience: {attribute: vip, is: true}\n"), **BRANCHED)
    await add_contact(database, settings, "bare", attributes={"vip": True})
    await add_contact(database, settings, "full", attributes={"vip": True, "branch": "外滩"}, name="王小芳")
    await add_contact(database, settings, "other", name="欧阳" * 9)
    run = await _draft(database)
    async with database.transaction() as tx:
        (found,) = await pick_run_samples(tx, run, await read_material(tx, run))
    assert [(one.why, one.contact.external_id, one.lacks) for one in found.samples] == [
        (Why.LONGEST_NAME, "full", ()),
        (Why.LACKS_MOST, "bare", ("branch",)),
    ]
