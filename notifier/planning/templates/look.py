"""Look: what an unsaved template would say, rendered within limits, and all that is wrong with it by itself."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from notifier.domain.account import Account
from notifier.domain.channel import Channel, Content, SmsContent
from notifier.domain.contact import Contact
from notifier.domain.errors import DefinitionError, ServiceError
from notifier.domain.template import Bank, Template
from notifier.planning.definitions.folder import Entry
from notifier.planning.templates.check import check_words_of
from notifier.planning.templates.draft import DraftSource, TemplateDraft, read_draft
from notifier.providers.mastodon import count_chars
from notifier.rendering.bounded import Shown, look_in_subprocess
from notifier.rendering.context import RenderContext, greeting, in_locale, optional_paths
from notifier.rendering.environment import bank_values
from notifier.rendering.examples import example_context
from notifier.rendering.problems import Problem
from notifier.rendering.render import MAX_POST_CHARACTERS
from notifier.rendering.sms import SmsCount, count_parts

CHILDREN = ThreadPoolExecutor(2, thread_name_prefix="template-check")
"""Each thread waits for one child; more at once would only make each slower."""
_MASTODON_LIMIT = 500
_MOST_WAITING = 16
_PLACES = threading.BoundedSemaphore(_MOST_WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """With whose values: a real contact's, or the examples; `sparse` leaves out whatever may be missing."""

    contact: Contact | None = field(default=None, repr=False)
    sparse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One text of a draft as it would be sent, or why it cannot be, and all that is wrong with the draft."""

    channel: Channel | None
    locale: str
    content: Content | None = field(repr=False)
    problem: str
    errors: tuple[DefinitionError, ...]
    remarks: tuple[DefinitionError, ...]

    @property
    def count(self) -> SmsCount | None:
        """What a text message costs."""
        return count_parts(self.content.text) if isinstance(self.content, SmsContent) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLimit:
    """How long a post is as an account's network counts, and how long it may be there."""

    account: Account
    length: int
    limit: int

    @property
    def fits(self) -> bool:
        """Whether the network takes it."""
        return self.length <= self.limit


def post_limits(text: str, accounts: Sequence[Account]) -> list[PostLimit]:
    """One line per account that posts."""
    found = []
    for account in accounts:
        if account.channel is Channel.SOCIAL:
            is_mastodon = account.provider == "mastodon"
            given = account.settings.get("max_chars") or (_MASTODON_LIMIT if is_mastodon else MAX_POST_CHARACTERS)
            limit = given if isinstance(given, int) else MAX_POST_CHARACTERS
            length = count_chars(text) if is_mastodon else len(text)
            found.append(PostLimit(account=account, length=length, limit=limit))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A value the text may print. `is_declared`: the template says so itself; `may_lack`: ask for it first."""

    path: str
    example: str
    may_lack: bool
    is_declared: bool


def known_variables(template: Template, bank: Bank, locale: str) -> list[Known]:
    """What a template declares, then what every message has, each with its example."""
    context = example_context(template, bank, locale)
    declared = [
        Known(
            path=path,
            example=_tell(
                in_locale(one.example, locale, template) if isinstance(one.example, Mapping) else one.example
            ),
            may_lack=one.optional,
            is_declared=True,
        )
        for path, one in sorted(template.variables.items())
    ]
    given: dict[str, object] = {"greeting": greeting(bank, locale, context.name), "contact.name": context.name}
    given |= {f"bank.{name}": value for name, value in bank_values(bank, locale).items() if value}
    given |= {f"links.{name}": url for name, url in context.links.items() if url}
    given |= {f"survey.{name}": value for name, value in context.survey.items()}
    optional = optional_paths(template)
    return declared + [
        Known(
            path=path, example=_tell(value), may_lack=path in optional or path.startswith("survey."), is_declared=False
        )
        for path, value in given.items()
        if path not in template.variables
    ]


def _tell(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


async def look_at(draft: TemplateDraft, layouts: Mapping[str, str], bank: Bank, *, file: str, sample: Sample) -> Looked:
    """What the file (`email.en.html`, `sms.zh-CN.txt`; another shows the first text there is) says to the sample.

    `ServiceError` where too many look at once.
    """
    entry, source = read_draft(draft, layouts)
    if entry is None:
        return Looked(channel=None, locale="", content=None, problem="", errors=_sorted(source), remarks=())
    if not _PLACES.acquire(blocking=False):
        raise ServiceError("too many people look at templates at this moment")
    try:
        return await asyncio.get_running_loop().run_in_executor(CHILDREN, _look, entry, bank, file, sample)
    finally:
        _PLACES.release()


def text_of(template: Template, bank: Bank, file: str) -> tuple[Channel, str] | None:
    """Which text a file shows best; None where the template has none at all."""
    parts = file.split(".")
    offered = {channel: template.locales(channel) for channel in Channel}
    wanted = next((channel for channel in Channel if parts[0] == channel.value), None)
    locale = parts[1] if len(parts) > 1 else bank.default_locale
    if wanted is not None and locale in offered[wanted]:
        return wanted, locale
    for channel in Channel:
        for name in (locale, bank.default_locale, *sorted(offered[channel])):
            if name in offered[channel]:
                return channel, name
    return None


def _look(entry: Entry[Template], bank: Bank, file: str, sample: Sample) -> Looked:
    template = entry.value
    text = text_of(template, bank, file)
    shown: list[Shown] = []

    def check(template: Template, bank: Bank) -> list[Problem]:
        wanted = [(*text, _context(template, bank, text[1], sample))] if text else []
        look = look_in_subprocess(template, bank, wanted)
        shown.extend(look.shown)
        return list(look.problems)

    checked = check_words_of(entry, bank, check)
    one = shown[0] if shown else None
    return Looked(
        channel=text[0] if text else None,
        locale=text[1] if text else "",
        content=one.content if one else None,
        problem=one.problem if one else "",
        errors=checked.errors,
        remarks=checked.remarks,
    )


def _context(template: Template, bank: Bank, locale: str, sample: Sample) -> RenderContext:
    context = example_context(template, bank, locale, sparse=sample.sparse)
    if sample.contact is None:
        return context
    who = sample.contact
    return replace(context, name=who.name, locale=who.locale, attributes=dict(who.attributes))


def _sorted(source: DraftSource) -> tuple[DefinitionError, ...]:
    return tuple(sorted(source.errors, key=lambda error: (error.place.file, error.place.line)))
