"""A template: the bank's words for one message, per channel and locale. Immutable versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from notifier.domain.channel import Channel
from notifier.domain.pause import Bounds
from notifier.domain.purpose import Purpose
from notifier.domain.text import Localized


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A value the template reads: `contact.name`, `contact.attributes.branch`, `inputs.date`."""

    path: str
    example: object
    optional: bool = False  # may be missing for some contacts; the template must cope


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """All files of one template folder and the layouts, so that a version is complete in itself."""

    key: str
    title: Localized
    purpose: Purpose | None  # None: takes the campaign's (a correction)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    subject: Localized
    files: Mapping[str, str]  # "email.zh-CN.html" → source; layouts as "_layouts/email.html"
    fallback: Mapping[str, str] = field(default_factory=dict)  # declared locale fallback
    keep_content: bool = False  # store the rendered content; default for emergency

    def locales(self, channel: Channel) -> frozenset[str]:
        """The locales this template can be rendered in for a channel."""
        suffix = ".html" if channel is Channel.EMAIL else ".txt"
        names = (name for name in self.files if name.startswith(f"{channel}.") and name.endswith(suffix))
        return frozenset(name.removeprefix(f"{channel}.").removesuffix(suffix) for name in names)

    def locale_for(self, channel: Channel, wanted: str, default: str) -> str | None:
        """The locale to render: the wanted one, its declared fallback, the bank's default; None = cannot."""
        have = self.locales(channel)
        return next((name for name in (wanted, self.fallback.get(wanted, ""), default) if name in have), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """`campaigns/bank.yaml`: who speaks, how, from where."""

    name: Localized
    short_name: Localized
    hotline: str
    website: str
    app_name: Localized
    sms_signature: Localized  # "【江畔银行】", "Riverside Bank: "
    sms_opt_out: Localized  # suffix of marketing SMS
    footer: Localized  # address and legal line of e-mails
    greeting: Localized  # with a name: "尊敬的{name}："
    greeting_unnamed: Localized  # without: "尊敬的客户："
    sender_email: str
    reply_to: str
    link_domains: tuple[str, ...]
    default_locale: str = "zh-CN"
    locales: tuple[str, ...] = ("zh-CN", "en")
    zone: str = "Asia/Shanghai"
    region: str = "CN"  # for numbers without a country code
    logo: str = ""  # a `data:` or https address, "" = the name in type
    accent: str = "#0b5d5e"  # colour of headings and buttons
    emergency_overrides_opt_out: bool = False
    undo: timedelta = timedelta()  # after a release, before anything leaves; an emergency waits for none
    pause: Bounds = field(default_factory=Bounds)
