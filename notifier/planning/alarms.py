"""Alarms: what happened that approvers and administrators answer for, told to each in their language, calmly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from html import escape

from notifier.domain.channel import Channel, Content, EmailContent, SmsContent
from notifier.domain.errors import InputError
from notifier.domain.note import MARKS, ORIGIN, NoteKind, one_line
from notifier.domain.person import RELEASING, Person
from notifier.domain.template import Bank
from notifier.logs import get_logger
from notifier.planning.catalogue import CampaignVersion, get_campaign
from notifier.planning.notes import pick_account
from notifier.rendering.sms import count_parts
from notifier.store import notes as store
from notifier.store.database import Tx
from notifier.store.notes import Addressee, NewNote
from notifier.store.runs import Run

log = get_logger()
_LONGEST_REASON = 2_000
_SHORT_REASON = 60


class Alarm(StrEnum):
    """What happened."""

    BREAK_GLASS = "break-glass"  # an emergency was released by one person alone
    PAUSED = "paused"  # too much of a run came back, or was called spam
    BOUND_PASSED = "bound-passed"  # the same of what is not paused


_PAGES = {Alarm.BREAK_GLASS: "/review"}  # below that of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """An alarm in one language."""

    subject: str
    lines: tuple[str, ...]  # paragraphs; the last but one holds the link
    short: str  # "" = no SMS


_TEXTS: Mapping[Alarm, Mapping[str, Texts]] = {
    Alarm.BREAK_GLASS: {
        "zh": Texts(
            subject="{campaign}：已由一人紧急放行，请复核",
            lines=(
                "{who}未经第二人复核，紧急放行了“{campaign}”。",
                "理由：{reason}",
                "请查看所发内容，并记录复核意见：{link}",
                "您是{bank}的审批人或管理员，因此收到本邮件。",
            ),
            short="{who}未经复核紧急放行“{campaign}”。理由：{reason}。请复核：{link}",
        ),
        "en": Texts(
            subject="{campaign}: released by one person, please review",
            lines=(
                "{who} released “{campaign}” alone, without a second person.",
                "Reason: {reason}",
                "Please look at what went out and record your review: {link}",
                "You get this because you approve or administer for {bank}.",
            ),
            short="{who} released “{campaign}” alone. Reason: {reason}. Please review: {link}",
        ),
    },
    Alarm.PAUSED: {
        "zh": Texts(
            subject="{campaign}：已自动暂停",
            lines=(
                "“{campaign}”已自动暂停，未发出的消息暂不发送。",
                "原因：{reason}",
                "请查看并决定继续还是终止：{link}",
                "您是此次执行的作者，或{bank}的审批人或管理员，因此收到本邮件。",
            ),
            short="“{campaign}”已自动暂停：{reason}。请决定：{link}",
        ),
        "en": Texts(
            subject="{campaign}: paused",
            lines=(
                "“{campaign}” was paused. What has not left waits.",
                "Why: {reason}",
                "Please look, then resume it or end it: {link}",
                "You get this because you made this run, or approve or administer for {bank}.",
            ),
            short="“{campaign}” was paused: {reason}. Please decide: {link}",
        ),
    },
    Alarm.BOUND_PASSED: {
        "zh": Texts(
            subject="{campaign}：退回或投诉过多，仍在发送",
            lines=(
                "“{campaign}”的退回或投诉超过了限度。这类消息不会自动暂停，仍在发送。",
                "原因：{reason}",
                "请查看并决定是否停止：{link}",
                "您是此次执行的作者，或{bank}的审批人或管理员，因此收到本邮件。",
            ),
            short="“{campaign}”仍在发送：{reason}。请查看：{link}",
        ),
        "en": Texts(
            subject="{campaign}: too much comes back, and it goes on",
            lines=(
                "“{campaign}” passed a bound. Such messages are never paused by themselves: it goes on.",
                "Why: {reason}",
                "Please look and decide whether to stop it: {link}",
                "You get this because you made this run, or approve or administer for {bank}.",
            ),
            short="“{campaign}” goes on, though {reason}. Please look: {link}",
        ),
    },
}


async def alarm_break_glass(tx: Tx, run: Run, by: Person, reason: str) -> int:
    """Tell everybody else who may release that one person released this run alone; returns how many notes.

    In the transaction of the release; ring `notes` after its commit.
    """
    return await raise_alarm(tx, run, Alarm.BREAK_GLASS, by=by, reason=reason)


async def raise_alarm(tx: Tx, run: Run, alarm: Alarm, *, by: Person, reason: str | Mapping[str, str]) -> int:
    """Queue an alarm to each author, approver and administrator but the one who did it: a mail, and a short SMS.

    `reason`: as a person wrote it, or in our words by language.
    Where nobody can be reached this is logged, and what was done stands: it is in the audit and on the run.
    """
    people = await store.list_addressees(
        tx, run.team_id, sorted(RELEASING), also=() if alarm is Alarm.BREAK_GLASS else run.authors, without=by.user_id
    )
    version = await get_campaign(tx, run)
    who = await store.find_user_name(tx, by.user_id) if by.user_id is not None else ""
    accounts = {channel: await _account(tx, run, channel) for channel in (Channel.EMAIL, Channel.SMS)}
    queued = 0
    for person in people:
        said = reason if isinstance(reason, str) else reason[_language(person.locale)]
        facts = _facts(run, version, person, alarm, who=who or by.name, reason=said)
        for channel, address in ((Channel.EMAIL, person.email), (Channel.SMS, person.phone)):
            account_id = accounts[channel]
            content = write_alarm(_TEXTS[alarm], channel, facts, version.bank, locale=person.locale)
            if address and account_id is not None and content is not None:
                note = NewNote(
                    team_id=run.team_id,
                    kind=NoteKind.ALARM,
                    channel=channel,
                    address=address,
                    content=asdict(content),
                    locale=person.locale,
                    account_id=account_id,
                    run_id=run.id,
                )
                await store.add_note(tx, note)
                queued += 1
    if not queued:
        log.warning("planning.alarm_reaches_nobody", run=run.id, alarm=alarm.value)
    return queued


async def _account(tx: Tx, run: Run, channel: Channel) -> int | None:
    try:
        return await pick_account(tx, run.team_id, channel, run)
    except InputError:
        return None


def _facts(
    run: Run, version: CampaignVersion, person: Addressee, alarm: Alarm, *, who: str, reason: str
) -> dict[str, str]:
    default = version.bank.default_locale
    return {
        "campaign": one_line(version.campaign.title.get(person.locale, default)),
        "who": one_line(who),
        "reason": one_line(reason)[:_LONGEST_REASON],
        "bank": version.bank.name.get(person.locale, default),
        "link": f"{ORIGIN}/runs/{run.id}{_PAGES.get(alarm, '')}",
    }


def write_alarm(
    by_language: Mapping[str, Texts], channel: Channel, facts: Mapping[str, str], bank: Bank, *, locale: str
) -> Content | None:
    """What the alarm says on a channel, None where it says nothing there; `facts` hold at least `reason` and `link`."""
    language = _language(locale)
    texts, mark = by_language[language], MARKS[NoteKind.ALARM][language]
    if channel is Channel.EMAIL:
        subject = f"{mark}{texts.subject.format(**facts)}"
        text = "\n\n".join(line.format(**facts) for line in texts.lines) + "\n"
        return EmailContent(subject=subject, html=_html(subject, texts, facts, locale), text=text)
    if not texts.short:
        return None
    signature = bank.sms_signature.get(locale, bank.default_locale)
    reason = facts["reason"]
    short = reason if len(reason) <= _SHORT_REASON else f"{reason[: _SHORT_REASON - 1]}…"
    text = f"{signature}{mark}{texts.short.format(**{**facts, 'reason': short})}"
    count = count_parts(text)
    return SmsContent(text=text, parts=count.parts, encoding=count.encoding)


def _language(locale: str) -> str:
    return "zh" if locale.startswith("zh") else "en"


def _html(subject: str, texts: Texts, facts: Mapping[str, str], locale: str) -> str:
    safe = {name: escape(value) for name, value in facts.items()}
    safe["link"] = f'<a href="{safe["link"]}">{safe["link"]}</a>'
    body = "".join(f'<p style="margin:0 0 14px">{line.format(**safe)}</p>' for line in texts.lines)
    return (
        f'<!doctype html><html lang="{escape(locale)}"><head><meta charset="utf-8"><title>{escape(subject)}</title></head>'
        f'<body style="margin:0;padding:20px;font:16px/1.6 sans-serif;color:#16211f;background:#ffffff">'
        f'<h1 style="font-size:20px;margin:0 0 16px">{escape(subject)}</h1>{body}</body></html>'
    )
