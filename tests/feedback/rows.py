"""Rows for tests of what comes back: a bank, a survey, a run, its contacts, messages and invitations."""

from dataclasses import dataclass
from itertools import count

from notifier.domain.links import LinkKind, derive_key, sign_link
from notifier.domain.spec import spec_hash, to_spec
from notifier.domain.survey import Question, QuestionType, ScoreRule, Survey
from notifier.domain.template import Bank
from notifier.domain.text import Localized
from notifier.store.database import Database, Tx
from notifier.store.definitions import add_version

LINKS = derive_key(b"test", "links")
_numbers = count(1)


def both(zh: str, en: str) -> Localized:
    """A text in both languages."""
    return Localized({"zh-CN": zh, "en": en})


BANK = Bank(
    name=both("江畔银行", "Riverside Bank"),
    short_name=both("江畔", "Riverside"),
    hotline="95XXX",
    website="https://www.riverside-bank.example",
    app_name=both("江畔手机银行", "Riverside app"),
    sms_signature=both("【江畔银行】", "Riverside Bank: "),
    sms_opt_out=both("拒收请回复R", "Reply STOP to opt out"),
    footer=both("上海市滨江路 88 号", "88 Riverfront Road, Shanghai"),
    greeting=both("尊敬的{name}：", "Dear {name},"),
    greeting_unnamed=both("尊敬的客户：", "Dear customer,"),
    sender_email="notices@riverside-bank.example",
    reply_to="service@riverside-bank.example",
    link_domains=("riverside-bank.example",),
)
SURVEY = Survey(
    key="monthly-satisfaction",
    title=both("服务满意度调查", "How are we doing?"),
    intro=both("大约半分钟。", "About half a minute."),
    thanks=both("谢谢您，我们会逐条阅读。", "Thank you. We read every comment."),
    questions=(
        Question(
            key="rating",
            type=QuestionType.RATING,
            required=True,
            text=both("您满意吗？", "How satisfied are you?"),
            low_label=both("非常不满意", "Very dissatisfied"),
            high_label=both("非常满意", "Very satisfied"),
        ),
        Question(
            key="improve",
            type=QuestionType.CHOICE,
            text=both("先改进哪一项？", "What should we improve first?"),
            choices={"app": both("手机银行", "The app"), "branch": both("网点", "Branches"), "web": both("网", "Web")},
        ),
        Question(key="comment", type=QuestionType.TEXT, text=both("还有吗？", "Anything else?"), max_length=100),
        Question(
            key="trust", type=QuestionType.RATING, text=both("信任吗？", "Do you trust us?"), months=(3, 6, 9, 12)
        ),
    ),
    score=ScoreRule(question="rating"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One run with one step, and the definitions behind it."""

    run_id: int
    survey_id: int
    template_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message to one contact, and its invitation (0 = none)."""

    run_id: int
    id: int
    contact_id: int
    invitation_id: int = 0

    @property
    def public_id(self) -> str:
        return sign_link(LINKS, LinkKind.MESSAGE, self.run_id, self.id)

    def token(self, kind: LinkKind, *more: int) -> str:
        """The token of a link in this message."""
        return sign_link(LINKS, kind, self.run_id, self.id, *more)

    @property
    def survey_token(self) -> str:
        return sign_link(LINKS, LinkKind.SURVEY, self.invitation_id)


async def add_scene(database: Database, *, topic: str = "", survey: Survey = SURVEY, bank: Bank = BANK) -> Scene:
    """Definitions, and a running run whose step `invite` has this topic."""
    async with database.transaction() as tx:
        survey_id = await _define(tx, "survey", survey.key, to_spec(survey))
        await _define(tx, "bank", "bank", to_spec(bank))
        template_id = await _define(tx, "template", "t", {})
        campaign_id = await _define(tx, "campaign", "c", {})
        run_id: int = await tx.fetchval(
            """
            SELECT to_char(now(), 'YYYYMM')::bigint * 1000000 + count(*) + 1 FROM notifier.runs
            """
        )
        await tx.execute(
            """
            INSERT INTO notifier.runs (id, team_id, campaign_id, campaign_key, kind, state, nominal_at, purpose,
                launched_by) VALUES ($1, 1, $2, 'c', 'launched', 'running', now(), 'service', 'test')
            """,
            run_id,
            campaign_id,
        )
        await tx.execute(
            """
            INSERT INTO notifier.run_steps (run_id, step, position, state, template_id, survey_id, purpose, topic,
                lane, in_doubt, consent, expires, plan_at, due_at)
            VALUES ($1, 'invite', 0, 'planned', $2, $3, 'service', $4, 3, 'resend', 'obeys-opt-out', '24h', now(),
                now())
            """,
            run_id,
            template_id,
            survey_id,
            topic,
        )
    return Scene(run_id=run_id, survey_id=survey_id, template_id=template_id)


async def add_message(
    database: Database,
    scene: Scene,
    *,
    state: str = "accepted",
    channel: str = "email",
    locale: str = "en",
    month: int = 1,
    closes: str = "14 days",
    survey_key: str = SURVEY.key,
) -> Sent:
    """A message in this state with its tally, and an invitation to the scene's survey."""
    return (
        await add_messages(
            database, scene, [state], channel=channel, locale=locale, month=month, closes=closes, survey_key=survey_key
        )
    )[0]


async def add_messages(
    database: Database,
    scene: Scene,
    states: list[str],
    *,
    channel: str = "email",
    locale: str = "en",
    month: int = 1,
    closes: str = "14 days",
    survey_key: str = SURVEY.key,
) -> list[Sent]:
    """One message per state, in order."""
    names = [f"c{next(_numbers)}" for _ in states]
    async with database.transaction() as tx:
        rows = await tx.fetch(
            """
            WITH people AS (
                INSERT INTO notifier.contacts (team_id, external_id, kind, locale)
                SELECT 1, name, 'customer', $5 FROM unnest($2::text[]) AS name RETURNING id, external_id
            ), addressed AS (
                INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
                SELECT id, $4, external_id || '@example.com', sha256(external_id::bytea) FROM people
            ), sent AS (
                INSERT INTO notifier.messages (run_id, recipient_id, contact_id, due_at, expires_at, team_id, lane,
                    step, channel, state, locale, address_key)
                SELECT $1, p.id, p.id, now(), now() + interval '1 day', 1, 3, 'invite', $4, s.state, $5,
                    sha256(p.external_id::bytea)
                FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS s (name, state, n)
                JOIN people p ON p.external_id = s.name ORDER BY s.n RETURNING id, contact_id, state
            ), counted AS (
                INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
                SELECT $1, 'invite', $4, state, count(*) FROM sent GROUP BY state
            ), invited AS (
                INSERT INTO notifier.invitations (team_id, run_id, step, message_id, contact_id, survey_id,
                    survey_key, month, closes_at)
                SELECT 1, $1, 'invite', id, contact_id, $6, $7, $8, now() + $9::text::interval FROM sent
                RETURNING id, message_id
            )
            SELECT s.id, s.contact_id, i.id AS invitation_id FROM sent s JOIN invited i ON i.message_id = s.id
            ORDER BY s.id
            """,
            scene.run_id,
            names,
            states,
            channel,
            locale,
            scene.survey_id,
            survey_key,
            month,
            closes,
        )
    return [Sent(run_id=scene.run_id, **dict(row)) for row in rows]


async def fetch(database: Database, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Rows as plain tuples."""
    async with database.transaction() as tx:
        return [tuple(row.values()) for row in await tx.fetch(sql, *values)]


async def _define(tx: Tx, kind: str, key: str, spec: dict[str, object]) -> int:
    return await add_version(tx, 1, kind=kind, key=key, digest=spec_hash(spec), spec=spec, file="")
