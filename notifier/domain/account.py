"""An account: one configured login at a provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.channel import Channel
from notifier.domain.text import Localized


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Names the environment variable that holds a secret; definitions never hold secrets."""

    env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`campaigns/accounts/KEY.yaml`."""

    key: str
    title: Localized
    channel: Channel
    provider: str  # "smtp", "twilio", "manual", "mastodon", "sandbox"
    sender: str = ""  # From address, number; "" = the bank's
    order: int = 100  # the lowest of a channel is used first
    cost_per_part: float | None = None  # what the provider bills for one SMS part; None = not known here
    currency: str = ""  # ISO 4217, of `cost_per_part`
    per_second: float | None = None  # messages it carries; only forecasts read it
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)
