"""Small folders of definitions, contacts, runs and senders for tests of the engine."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from notifier.delivery.drain import Drained, Sender
from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ConsentAct, ConsentRecord, Contact, ContactKind
from notifier.domain.keys import derive_keys
from notifier.domain.links import address_key
from notifier.domain.message import RunId
from notifier.domain.person import Person, Role
from notifier.planning.apply import Change, apply_definitions
from notifier.planning.definitions.folder import load_definitions
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import plan_due
from notifier.planning.release import release_facts, release_run
from notifier.planning.single import ask_release
from notifier.settings import Settings
from notifier.store import access, clock, runs
from notifier.store.contacts import record_consent, upsert_contact
from notifier.store.database import Database, Tx
from notifier.store.messages.claim import Batch, Portion, claim_batch
from notifier.store.runs import Run

NOON = datetime(2030, 6, 12, 4, 0, tzinfo=UTC)
"""A Wednesday, 12:00 in Shanghai: every purpose may be sent."""

BANK = """\
name: {zh-CN: 江畔银行, en: Riverside Bank}
short_name: {zh-CN: 江畔, en: Riverside}
hotline: "95XXX"
website: https://www.riverside-bank.example
app_name: {zh-CN: 江畔手机银行, en: Riverside app}
sms_signature: {zh-CN: 【江畔银行】, en: "Riverside Bank: "}
sms_opt_out: {zh-CN: 拒收请回复R, en: Reply STOP to opt out}
footer: {zh-CN: 滨江路 88 号, en: 88 Riverfront Road}
greeting: {zh-CN: "尊敬的{name}：", en: "Dear {name},"}
greeting_unnamed: {zh-CN: 尊敬的客户：, en: "Dear customer,"}
sender_email: notices@riverside-bank.example
reply_to: service@riverside-bank.example
link_domains: [riverside-bank.example]
"""
OVERRIDE = BANK + "emergency_overrides_opt_out: true\n"
ACCOUNTS = {
    "email": "account: email\ntitle: Mail\nchannel: email\nprovider: sandbox\nsender: notices@riverside-bank.example\n",
    "sms": 'account: sms\ntitle: SMS\nchannel: sms\nprovider: sandbox\nsender: "95XXX"\n',
    "wall": "account: wall\ntitle: Wall\nchannel: social\nprovider: sandbox\n",
    "paper": "account: paper\ntitle: Paper\nchannel: social\nprovider: manual\norder: 200\n",
}
SURVEY = """\
survey: opinion
title: {zh-CN: 您的看法, en: Your opinion}
intro: {zh-CN: 一分钟, en: One minute}
thanks: {zh-CN: 谢谢, en: Thank you}
questions:
  rating: {type: rating, required: true, text: {zh-CN: 满意吗？, en: Satisfied?}}
score: {question: rating, method: csat, target: 85}
"""
TEMPLATE = """\
template: note
title: {zh-CN: 通知, en: Note}
variables:
  inputs.word: {example: 你好, optional: true}
subject: {zh-CN: "通知{{ inputs.word }}", en: "Note {{ inputs.word }}"}
"""
HTML = (
    '<!doctype html><title>x</title><p>{}{{{{ inputs.word }}}}</p><a href="https://www.riverside-bank.example/a">a</a>'
)
FILES: Mapping[str, str] = {
    "campaigns/bank.yaml": BANK,
    **{f"campaigns/accounts/{key}.yaml": text for key, text in ACCOUNTS.items()},
    "campaigns/surveys/opinion.yaml": SURVEY,
    "templates/note/template.yaml": TEMPLATE,
    "templates/note/email.zh-CN.html": HTML.format("{{ greeting }}"),
    "templates/note/email.zh-CN.txt": "{{ greeting }}通知{{ inputs.word }}",
    "templates/note/email.en.html": HTML.format("{{ greeting }}"),
    "templates/note/email.en.txt": "{{ greeting }} note {{ inputs.word }}",
    "templates/note/sms.zh-CN.txt": "{{ greeting }}通知{{ inputs.word }}",
    "templates/note/sms.en.txt": "{{ greeting }} note {{ inputs.word }}",
    "templates/note/social.zh-CN.txt": "通知{{ inputs.word }}",
    "templates/note/social.en.txt": "note {{ inputs.word }}",
    "templates/survey-invitation/template.yaml": (
        "template: survey-invitation\ntitle: {zh-CN: 邀请, en: Invitation}\nsubject: {zh-CN: 邀请, en: Invitation}\n"
    ),
    "templates/survey-invitation/email.zh-CN.html": '<p>{{ survey.question }}</p><a href="{{ links.survey }}">答</a>',
    "templates/survey-invitation/email.zh-CN.txt": "{{ survey.question }} {{ links.survey }}",
    "templates/survey-invitation/sms.zh-CN.txt": "{{ survey.question }} {{ links.survey }}",
}


def campaign(key: str = "news", *, purpose: str = "service", more: str = "", steps: str = "") -> str:
    """The YAML of a campaign with one step `inform` by e-mail, or with these steps (flow mappings, one a line)."""
    lines = steps or "inform: {channels: [email], template: note}"
    indented = "\n".join(f"  {line}" for line in lines.strip().splitlines())
    return (
        f"campaign: {key}\ntitle: {{zh-CN: 新闻, en: News}}\npurpose: {purpose}\n"
        "inputs:\n  word: {type: text, required: false, default: 好, label: {zh-CN: 词, en: Word}}\n"
        f"{more}steps:\n{indented}\n"
    )


def write_folder(folder: Path, files: Mapping[str, str | None]) -> Path:
    """A folder of definitions: the usual files, with these instead or besides; None leaves one out."""
    for name, text in {**FILES, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, encoding="utf-8")
    return folder


async def define(database: Database, folder: Path, *campaigns: str, **files: str | None) -> list[Change]:
    """Apply the folder with these campaigns; `files` by name with `/` and `.` as they are (pass a dict with **)."""
    named = {f"campaigns/{text.split(maxsplit=2)[1]}.yaml": text for text in campaigns}
    return await apply_definitions(database, load_definitions(write_folder(folder, {**named, **files})))


async def add_contact(
    database: Database,
    settings: Settings,
    external_id: str,
    *,
    email: str | None = None,
    phone: str = "",
    opt_in: tuple[str, ...] = (),
    opt_out: tuple[str, ...] = (),
    name: str = "王芳",
    locale: str = "zh-CN",
    zone: str = "",
    kind: ContactKind = ContactKind.CUSTOMER,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> int:
    """A contact; consents are written `email` or `email/education`. Returns its id."""
    contact = Contact(
        external_id=external_id,
        kind=kind,
        name=name,
        locale=locale,
        zone=zone,
        email=f"{external_id}@example.com" if email is None else email,
        phone=phone,
        attributes=attributes or {},
        consents=tuple(
            ConsentRecord(
                channel=Channel(words.partition("/")[0]),
                topic=words.partition("/")[2],
                act=act,
                source="test",
                at=datetime(2026, 1, 1, tzinfo=UTC),
            )
            for act, listed in ((ConsentAct.OPT_IN, opt_in), (ConsentAct.OPT_OUT, opt_out))
            for words in listed
        ),
    )
    async with database.transaction() as tx:
        await upsert_contact(tx, 1, contact, derive_keys(settings.secret).addresses)
        found: int = await tx.fetchval("SELECT id FROM notifier.contacts WHERE external_id = $1", external_id)
    return found


async def opt_out(database: Database, contact_id: int, channel: Channel = Channel.EMAIL, topic: str = "") -> None:
    """The contact opts out now."""
    async with database.transaction() as tx:
        record = ConsentRecord(
            channel=channel, topic=topic, act=ConsentAct.OPT_OUT, source="test", at=await clock.now(tx)
        )
        await record_consent(tx, contact_id, [record])


async def suppress(database: Database, settings: Settings, email: str, reason: str) -> None:
    """Block an e-mail address."""
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO notifier.suppressions (team_id, address_key, channel, reason) VALUES (1, $1, 'email', $2)",
            address_key(derive_keys(settings.secret).addresses, "email", email),
            reason,
        )


async def set_now(database: Database, moment: datetime = NOON) -> None:
    """Business time becomes (about) this moment."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.clock SET shift = $1 - now()", moment)
        await clock.make_partitions(tx)


async def pass_time(database: Database, span: timedelta) -> None:
    """Business time goes on by this much."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.clock SET shift = shift + $1", span)


async def launch(
    database: Database,
    key: str = "news",
    *,
    at: datetime | None = None,
    inputs: Mapping[str, object] | None = None,
    audience_list: str = "",
) -> Run:
    """A run released by another than its author, not yet planned."""
    draft = Draft(campaign_key=key, inputs=inputs or {}, at=at, audience_list=audience_list)
    async with database.transaction() as tx:
        run = await launch_campaign(tx, team_id=1, draft=draft, by=Person(name="test"))
        return await released(tx, run)


async def released(tx: Tx, run: Run) -> Run:
    """The run as a second person lets it out, if it needs one."""
    if run.state != "submitted":
        return run
    return await release_run(tx, run.id, await person(tx, "checker"), hash=(await release_facts(tx, run)).hash)


async def person(tx: Tx, login: str, role: Role = Role.APPROVER) -> Person:
    """A user who exists from then on; the role is that of the first call."""
    found = await access.find_user(tx, login)
    if found is None:
        await access.add_user(tx, 1, login=login, name=login, role=role, password_hash="-", locale="en")
        return await person(tx, login)
    return Person(name=login, user_id=found.id, role=Role(found.role))


async def release_by_another(database: Database, run_id: int) -> Run:
    """A second person lets a submitted run out."""
    async with database.transaction() as tx:
        return await released(tx, await runs.get_run(tx, run_id))


async def release_singles(database: Database, *campaigns: str) -> None:
    """Single messages of these campaigns may be sent."""
    for key in campaigns:
        async with database.transaction() as tx:
            await released(tx, await ask_release(tx, team_id=1, campaign_key=key, by=Person(name="test")))


async def launch_and_plan(database: Database, key: str = "news", *, inputs: Mapping[str, object] | None = None) -> Run:
    """A run whose due steps are planned."""
    run = await launch(database, key, inputs=inputs)
    await plan_due(database)
    return run


async def claim(
    database: Database,
    run: RunId,
    lane: int = 3,
    *,
    limit: int = 64,
    after: tuple[datetime, int] | None = None,
    override: bool = False,
    worker: str = "test",
) -> Batch:
    """One committed claim."""
    async with database.transaction() as tx:
        return await claim_batch(
            tx,
            run,
            lane,
            worker=worker,
            zone="Asia/Shanghai",
            override_opt_out=override,
            portion=Portion(limit=limit, after=after),
        )


@asynccontextmanager
async def open_sender(settings: Settings, database: Database) -> AsyncIterator[Sender]:
    """All a process needs to send."""
    sender = Sender(settings, database, worker="test")
    try:
        yield sender
    finally:
        await sender.aclose()


async def drain(settings: Settings, database: Database, lane: int = 3) -> Drained:
    """Send what is due in a lane."""
    async with open_sender(settings, database) as sender:
        return await sender.drain_lane(lane)


async def fetch(database: Database, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows as plain tuples."""
    async with database.transaction() as tx:
        return [tuple(row.values()) for row in await tx.fetch(sql, *values)]


async def execute(database: Database, sql: str, *values: object) -> None:
    """One statement, committed."""
    async with database.transaction() as tx:
        await tx.execute(sql, *values)


async def states(database: Database) -> list[tuple[str, str, str]]:
    """(external id, state, reason) of every contact's message, in order."""
    return await fetch(
        database,
        """
        SELECT c.external_id, m.state, m.reason FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        ORDER BY c.external_id COLLATE "C", m.channel COLLATE "C", m.id
        """,
    )


async def state_counts(database: Database) -> dict[str, int]:
    """Messages by state."""
    return dict(await fetch(database, "SELECT state, count(*)::int FROM notifier.messages GROUP BY state"))


async def kept(database: Database) -> list[tuple[Any, ...]]:
    """(recipient, public id) of everything the sandbox took, in order."""
    return await fetch(database, "SELECT recipient, public_id FROM notifier.sandbox_items ORDER BY id")


async def assert_tallies_agree(database: Database) -> None:
    """The tallies are what counting the messages would give."""
    counted = await fetch(
        database,
        """
        SELECT run_id, step, channel, state, CASE WHEN state IN ('failed', 'refused') THEN reason ELSE '' END,
            count(*)::int FROM notifier.messages GROUP BY 1, 2, 3, 4, 5
        """,
    )
    tallied = await fetch(
        database,
        """
        SELECT run_id, step, channel, state, reason, sum(delta)::int FROM notifier.tallies
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(delta) <> 0
        """,
    )
    assert sorted(tallied) == sorted(counted)
