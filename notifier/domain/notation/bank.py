"""The bank and its accounts, read and written."""

import re
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers

from notifier.domain.account import Account, Group, SecretRef
from notifier.domain.channel import Channel
from notifier.domain.notation.node import LOCALE, NAME, Value, did_you_mean
from notifier.domain.notation.pause import read_pause, read_undo, write_pause
from notifier.domain.notation.values import EVERY_LOCALE, write_duration
from notifier.domain.template import Bank
from notifier.domain.text import Localized

BANK_TEXTS = (
    "name",
    "short_name",
    "app_name",
    "sms_signature",
    "sms_opt_out",
    "footer",
    "greeting",
    "greeting_unnamed",
)
BANK_REQUIRED = (*BANK_TEXTS, "hotline", "website", "sender_email", "reply_to", "link_domains")
BANK_OPTIONAL = (
    "default_locale",
    "locales",
    "zone",
    "region",
    "logo",
    "accent",
    "emergency_overrides_opt_out",
    "undo",
    "pause",
)
ACCOUNT_REQUIRED = ("account", "title", "channel", "provider")
RATES = ("sender_per_second", "groups")
ACCOUNT_OPTIONAL = ("sender", "order", "cost_per_part", "currency", "per_second", *RATES, "settings", "secrets")

EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{1,62}")
DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}")
WEBSITE = re.compile(r"https?://[^\s\"'<>]+")
ACCENT = re.compile(r"#[0-9a-fA-F]{6}")
LOGO = re.compile(r"https://[^\s\"'<>]+|data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
CURRENCY = re.compile(r"[A-Z]{3}")
HIGHEST_COST = 1_000
FASTEST = 100_000
SLOWEST = 0.001


def read_bank(root: Value) -> Bank:
    """`campaigns/bank.yaml`."""
    root.fields(BANK_REQUIRED, BANK_OPTIONAL)
    locales = _read_locales(root)
    return Bank(
        name=root.child("name").localized(),
        short_name=root.child("short_name").localized(),
        app_name=root.child("app_name").localized(),
        sms_signature=root.child("sms_signature").localized(),
        sms_opt_out=root.child("sms_opt_out").localized(),
        footer=root.child("footer").localized(),
        greeting=_read_greeting(root.child("greeting"), "{name}"),
        greeting_unnamed=_read_greeting(root.child("greeting_unnamed"), ""),
        hotline=root.child("hotline").text(),
        website=_read_website(root),
        sender_email=_read_email(root.child("sender_email")),
        reply_to=_read_email(root.child("reply_to")),
        link_domains=_read_domains(root.child("link_domains")),
        default_locale=_read_default_locale(root.child("default_locale"), locales),
        locales=locales,
        zone=read_zone(root.child("zone"), "Asia/Shanghai"),
        region=_read_region(root.child("region")),
        logo=root.child("logo").text(pattern=LOGO, like="a data:image/… or https:// address"),
        accent=root.child("accent").text("#0b5d5e", pattern=ACCENT, like='a colour such as "#0b5d5e"'),
        emergency_overrides_opt_out=root.child("emergency_overrides_opt_out").flag(default=False),
        undo=read_undo(root.child("undo")) or timedelta(),
        pause=read_pause(root.child("pause")),
    )


def read_zone(value: Value, default: str, *, also: tuple[str, ...] = ()) -> str:
    """An IANA time zone, or one of the words in `also`."""
    zone = value.text(default)
    if zone in also or zone in _zones():
        return zone
    near = get_close_matches(zone, _zones(), n=1)
    words = "".join(f"`{word}`, " for word in also)
    value.fail(
        f"`{zone}` is not a time zone",
        f"Did you mean `{near[0]}`?" if near else f"Write {words}or an IANA name such as `Asia/Shanghai`",
    )
    return default


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # walks the zone files: once is enough


def _read_greeting(value: Value, slot: str) -> Localized:
    found = value.localized()
    for locale, text in found.texts.items():
        if text and (re.findall(r"\{[^}]*\}?|\}", text) != ([slot] if slot else [])):
            at = value.child(locale) if isinstance(value.data, dict) else value
            at.fail(
                f"the greeting must have {'`{name}` once and no' if slot else 'no'} other braces",
                'Write it as in "Dear {name},"' if slot else "Remove the braces: there is no name to put in",
            )
    return found


def _read_email(value: Value) -> str:
    return value.text(pattern=EMAIL, like="an e-mail address such as notices@bank.example")


def _read_domains(value: Value) -> tuple[str, ...]:
    for item in value:
        item.text(pattern=DOMAIN, like="a domain such as `bank.example`, without https:// and path")
    return value.texts() if all(isinstance(item.data, str) for item in value) else ()


def _read_website(root: Value) -> str:
    value = root.child("website")
    website = value.text(pattern=WEBSITE, like="an address that begins with https://")
    domains = root.child("link_domains").data
    if website and isinstance(domains, list) and not in_domains(website, [str(name) for name in domains]):
        value.fail(f"the host of `{website}` is not among `link_domains`", "Add its domain to `link_domains`")
    return website


def in_domains(address: str, domains: Iterable[str]) -> bool:
    """Whether an http(s) address leads to one of the domains or a name below it."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
    except ValueError:
        return False
    plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc and "\\" not in address
    return plain and any(host == domain or host.endswith("." + domain) for domain in domains)


def _read_locales(root: Value) -> tuple[str, ...]:
    value = root.child("locales")
    if not value.given:
        return ("zh-CN", "en")
    for item in value:
        item.text(pattern=LOCALE, like="a locale such as `zh-CN` or `en`")
    return tuple(str(item.data) for item in value) or ("zh-CN", "en")


def _read_default_locale(value: Value, locales: tuple[str, ...]) -> str:
    found = value.text(locales[0] if "zh-CN" not in locales else "zh-CN")
    if found not in locales:
        value.fail(f"`{found}` is not among `locales`", did_you_mean(found, locales))
    return found


def _read_region(value: Value) -> str:
    region = value.text("CN")
    if region not in phonenumbers.SUPPORTED_REGIONS:
        value.fail(f"`{region}` is not a phone region", "Write the two capital letters of a country, such as `CN`")
    return region


def read_account(root: Value) -> Account:
    """`campaigns/accounts/KEY.yaml`."""
    root.fields(ACCOUNT_REQUIRED, ACCOUNT_OPTIONAL)
    settings = root.child("settings")
    cost, currency = _read_cost(root)
    return Account(
        key=root.child("account").key(),
        title=root.child("title").localized(),
        channel=root.child("channel").choice(Channel, Channel.EMAIL),
        provider=root.child("provider").key(),
        sender=root.child("sender").text(),
        order=root.child("order").whole(100, low=0, high=100_000),
        cost_per_part=cost,
        currency=currency,
        per_second=_read_rate(root.child("per_second")),
        sender_per_second=_read_rate(root.child("sender_per_second")),
        groups=_read_groups(root),
        settings={str(item.trail[-1]): item.data for item in settings.items(NAME)},
        secrets={str(item.trail[-1]): _read_secret(item) for item in root.child("secrets").items(NAME)},
    )


def _read_rate(value: Value) -> float | None:
    return value.number(1, low=SLOWEST, high=FASTEST) if value.given else None


def _read_groups(root: Value) -> dict[str, Group]:
    value = root.child("groups")
    if value.given and root.child("channel").data != Channel.EMAIL.value:
        value.fail("only e-mail goes to domains", "Remove `groups`", key=True)
    groups, taken = dict[str, Group](), dict[str, str]()
    for item in value.items(NAME):
        name = str(item.trail[-1])
        item.fields(["domains", "per_second"])
        domains = _read_domains(item.child("domains"))
        for domain in domains:
            if domain in taken:
                item.child("domains").fail(
                    f"`{domain}` stands in the group `{taken[domain]}` already", "Leave it in one of them"
                )
            taken[domain] = name
        groups[name] = Group(domains=domains, per_second=_read_rate(item.child("per_second")) or SLOWEST)
    return groups


def _read_cost(root: Value) -> tuple[float | None, str]:
    """What one part of an SMS costs, and in which currency: both or neither."""
    cost, currency = root.child("cost_per_part"), root.child("currency")
    if cost.given and root.child("channel").data != Channel.SMS.value:
        cost.fail("only an SMS has parts that are billed", "Remove `cost_per_part`", key=True)
    if cost.given and not currency.given:
        cost.fail("a cost wants its currency", "Write it beside, such as `currency: CNY`", key=True)
    if currency.given and not cost.given:
        currency.fail("a currency alone says nothing", "Write `cost_per_part` beside it", key=True)
    return (
        cost.number(0, low=0, high=HIGHEST_COST) if cost.given else None,
        currency.text(pattern=CURRENCY, like="the three capital letters of a currency, such as CNY"),
    )


def _read_secret(value: Value) -> SecretRef:
    """Only the name of a variable; what else stands there is not shown, it may be a secret."""
    if not isinstance(value.data, dict):
        value.fail(
            f"the secret {value.called} is written into the file",
            f"Write `{value.trail[-1]}: {{env: NAME_OF_A_VARIABLE}}`, and change the secret: it may have been seen",
        )
        return SecretRef("")
    name = value.fields(["env"]).child("env")
    if isinstance(name.data, str) and not VARIABLE.fullmatch(name.data):
        name.fail("the name of an environment variable is wanted here", "Write capital letters, such as SMTP_PASSWORD")
        return SecretRef("")
    return SecretRef(name.text())


def write_bank(bank: Bank) -> dict[str, object]:
    """The notation that `read_bank` reads back as the same bank."""
    found: dict[str, object] = {name: write_localized(getattr(bank, name)) for name in BANK_TEXTS}
    plain = ("hotline", "website", "sender_email", "reply_to", "default_locale", "zone", "region", "accent")
    found |= {name: getattr(bank, name) for name in plain}
    found |= {"link_domains": list(bank.link_domains), "locales": list(bank.locales)}
    found["emergency_overrides_opt_out"] = bank.emergency_overrides_opt_out
    optional = {
        "logo": bank.logo,
        "undo": write_duration(bank.undo) if bank.undo else "",
        "pause": write_pause(bank.pause),
    }
    return found | {name: value for name, value in optional.items() if value}


def write_account(account: Account) -> dict[str, object]:
    """The notation that `read_account` reads back as the same account."""
    found: dict[str, object] = {
        "account": account.key,
        "title": write_localized(account.title),
        "channel": account.channel.value,
        "provider": account.provider,
        "order": account.order,
        "settings": dict(account.settings),
        "secrets": {name: {"env": secret.env} for name, secret in account.secrets.items()},
    }
    optional = {
        "sender": account.sender or None,
        "cost_per_part": account.cost_per_part,
        "currency": account.currency or None,
        "per_second": account.per_second,
        "sender_per_second": account.sender_per_second,
        "groups": {
            name: {"domains": list(group.domains), "per_second": group.per_second}
            for name, group in account.groups.items()
        }
        or None,
    }
    return found | {name: value for name, value in optional.items() if value is not None}


def write_localized(text: Localized) -> object:
    """A plain text where it is the same for every locale."""
    texts = dict(text.texts)
    return texts[EVERY_LOCALE] if list(texts) == [EVERY_LOCALE] else texts
