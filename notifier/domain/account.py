"""An account: one configured login at a provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.channel import Channel
from notifier.domain.rate import ORDINARY_SHARE
from notifier.domain.text import Localized


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Names the environment variable that holds a secret; definitions never hold secrets."""

    env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Domains behind the same mail servers, which count what comes to them together."""

    domains: tuple[str, ...]
    per_second: float


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
    per_second: float | None = None  # messages it takes, SMS counted in parts; None = as fast as it goes
    sender_per_second: float | None = None  # the same for its sender, over all accounts that send as it
    groups: Mapping[str, Group] = field(default_factory=dict)  # by name; e-mail only
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)

    def group_of(self, address: str) -> str:
        """The name of the group an e-mail address belongs to, "" = none."""
        domain = address.rpartition("@")[2].lower() if self.groups else ""
        return next((name for name, group in self.groups.items() if domain in group.domains), "")

    def speed(self, *, urgent: bool) -> float | None:
        """Messages a second that may leave through it, by its own figures; None = as fast as it goes."""
        stated = [rate for rate in (self.per_second, self.sender_per_second) if rate is not None]
        return min(stated) * (1.0 if urgent else ORDINARY_SHARE) if stated else None
