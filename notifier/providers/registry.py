"""All providers by name; opens and checks accounts."""

from collections.abc import Mapping

from pydantic import ValidationError

from notifier.domain.account import Account
from notifier.domain.errors import InputError
from notifier.providers.base import Capabilities, Dependencies, Provider, ProviderKind
from notifier.providers.manual import MANUAL
from notifier.providers.mastodon import MASTODON
from notifier.providers.sandbox import SANDBOX
from notifier.providers.smtp import SMTP
from notifier.providers.twilio import TWILIO

KINDS: Mapping[str, ProviderKind] = {kind.name: kind for kind in (SANDBOX, SMTP, TWILIO, MANUAL, MASTODON)}


def open_provider(account: Account, secrets: Mapping[str, str], *, deps: Dependencies | None = None) -> Provider:
    """The account's provider, ready to send; no I/O yet. `InputError` names the setting or secret that is wrong."""
    check_account(account)
    kind = KINDS[account.provider]
    for name in account.secrets:
        if not secrets.get(name):
            raise InputError(f"secrets.{name}", "has no value", f"Set the variable {account.secrets[name].env}")
    return kind.opener(account, secrets, deps or Dependencies())


def check_account(account: Account) -> None:
    """`InputError` on the first thing wrong with the account; needs no secret's value and opens nothing."""
    kind = _kind(account.provider)
    if account.channel not in kind.capabilities.channels:
        possible = ", ".join(sorted(kind.capabilities.channels))
        raise InputError("channel", f"{kind.name} cannot carry {account.channel}", f"It carries: {possible}")
    _check_settings(kind, account)
    _check_secrets(kind, account)
    if kind.check is not None:
        kind.check(account)


def capabilities_of(provider: str) -> Capabilities:
    """What a provider can do, without opening an account."""
    return _kind(provider).capabilities


def settings_schema(provider: str) -> dict[str, object]:
    """JSON Schema of a provider's `settings:`."""
    return _kind(provider).settings.model_json_schema()


def _kind(provider: str) -> ProviderKind:
    if provider not in KINDS:
        raise InputError("provider", f"there is no provider {provider!r}", f"Known: {', '.join(sorted(KINDS))}")
    return KINDS[provider]


def _check_settings(kind: ProviderKind, account: Account) -> None:
    try:
        kind.settings.model_validate(dict(account.settings))
    except ValidationError as error:
        raise _settings_error(kind, error) from None


def _settings_error(kind: ProviderKind, error: ValidationError) -> InputError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    fields = kind.settings.model_fields
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return InputError(f"settings.{path}", f"{kind.name} has no such setting", f"Known: {', '.join(sorted(fields))}")
    problem = "is missing" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
    wants = fields[name].description if name in fields else None
    return InputError(f"settings.{path}".rstrip("."), problem, f"It wants {wants}" if wants else "")


def _check_secrets(kind: ProviderKind, account: Account) -> None:
    known = {**kind.required_secrets, **kind.optional_secrets}
    for name in account.secrets:
        if name not in known:
            raise InputError(
                f"secrets.{name}", f"{kind.name} has no such secret", f"Known: {', '.join(sorted(known)) or 'none'}"
            )
    for name, what in kind.required_secrets.items():
        if name not in account.secrets:
            raise InputError(
                f"secrets.{name}", "is missing", f"It is {what}; write {name}: {{env: NAME_OF_THE_VARIABLE}}"
            )
