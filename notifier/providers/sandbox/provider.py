"""The sandbox itself: takes a message, keeps it, behaves as told."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, Outgoing
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.domain.event import ProviderEvent
from notifier.providers.base import (
    CallbackRequest,
    Capabilities,
    Dependencies,
    Provider,
    ProviderKind,
    SandboxItem,
    Settings,
)
from notifier.providers.sandbox import callbacks
from notifier.providers.sandbox.batch import Batch
from notifier.providers.sandbox.behaviour import Behaviour, by_address, by_draw, share_of

_CAPABILITIES = Capabilities(channels=frozenset(Channel), reports_delivery=True, idempotent=True)
_REMEMBERED = 100_000
Percent = Annotated[float, Field(ge=0, le=100, description="a share of all messages in percent, 0 to 100")]


class SandboxSettings(Settings):
    """How it misbehaves; by default it takes and delivers everything."""

    bounce_pct: Percent = 0
    silent_pct: Percent = 0
    refuse_pct: Percent = 0
    try_again_pct: Percent = 0
    lose_reply_pct: Percent = 0
    delay_s: Annotated[float, Field(ge=0, le=86_400, description="longest delay of a report in seconds")] = 0
    seed: Annotated[int, Field(description="a whole number; another seed picks other addresses")] = 0

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if sum(share for _, share in self.shares()) > 100:
            raise ValueError("the shares add up to more than 100 percent")
        return self

    def shares(self) -> tuple[tuple[Behaviour, float], ...]:
        return (
            (Behaviour.BOUNCE, self.bounce_pct),
            (Behaviour.SILENT, self.silent_pct),
            (Behaviour.REFUSE, self.refuse_pct),
            (Behaviour.TRY_AGAIN, self.try_again_pct),
            (Behaviour.LOSE_REPLY, self.lose_reply_pct),
        )


_FATES = {Behaviour.BOUNCE: "bounced", Behaviour.SILENT: "none"}


class Sandbox:
    """Plays a provider of any channel."""

    name = "sandbox"
    capabilities = _CAPABILITIES

    def __init__(self, account: str, settings: SandboxSettings, batch: Batch | None, secret: bytes) -> None:
        self._account, self._settings, self._batch, self._secret = account, settings, batch, secret
        self._turned_away: dict[str, None] = {}

    async def send(self, outgoing: Outgoing) -> Acceptance:
        if self._batch is None:
            raise TryAgain("the sandbox was given no place to keep messages", code="sandbox-store", fault=Fault.SENDER)
        behaviour = self._behaviour(outgoing)
        if behaviour is Behaviour.REFUSE:
            raise NeverAgain("the sandbox was told to refuse", code="sandbox-refuse", fault=Fault.RECIPIENT)
        if behaviour is Behaviour.TRY_AGAIN and self._first_time(outgoing.public_id):
            raise TryAgain("the sandbox was told to send away once", after_s=60, code="sandbox-try-again")
        await self._batch.put(self._item(outgoing, behaviour))
        if behaviour is Behaviour.LOSE_REPLY:
            raise OutcomeUnknown("the sandbox was told to lose its reply", code="sandbox-lose-reply")
        return Acceptance(provider_ref=f"sandbox-{outgoing.public_id}", detail="kept")

    async def aclose(self) -> None:
        if self._batch is not None:
            await self._batch.aclose()

    def verify_callback(self, request: CallbackRequest) -> bool:
        return bool(self._secret) and callbacks.verify(self._secret, request)

    def read_callback(self, request: CallbackRequest) -> tuple[ProviderEvent, ...]:
        return callbacks.read(request)

    def _behaviour(self, outgoing: Outgoing) -> Behaviour:
        asked = by_address(outgoing.channel, outgoing.to)
        return asked or by_draw(self._settings.seed, outgoing.to, self._settings.shares())

    def _item(self, outgoing: Outgoing, behaviour: Behaviour) -> SandboxItem:
        delay_s = self._settings.delay_s * share_of(self._settings.seed + 1, outgoing.to)
        usual = "none" if outgoing.channel is Channel.SOCIAL else "delivered"  # no network reports a post delivered
        return SandboxItem(account=self._account, outgoing=outgoing, fate=_FATES.get(behaviour, usual), delay_s=delay_s)

    def _first_time(self, public_id: str) -> bool:
        if public_id in self._turned_away:
            return False
        self._turned_away[public_id] = None
        if len(self._turned_away) > _REMEMBERED:
            del self._turned_away[next(iter(self._turned_away))]
        return True


def _open(account: Account, secrets: Mapping[str, str], deps: Dependencies) -> Provider:
    return Sandbox(
        account.key,
        SandboxSettings.model_validate(dict(account.settings)),
        Batch(deps.keep) if deps.keep else None,
        _secret(account.key, secrets, deps),
    )


def _secret(account: str, secrets: Mapping[str, str], deps: Dependencies) -> bytes:
    if secrets.get("callback_secret"):
        return callbacks.secret_bytes(secrets["callback_secret"])
    return callbacks.sandbox_secret(deps.signing_key, account) if deps.signing_key else b""


SANDBOX = ProviderKind(
    name="sandbox",
    settings=SandboxSettings,
    capabilities=_CAPABILITIES,
    opener=_open,
    optional_secrets={"callback_secret": "what its callbacks are signed with; derived where none is given"},
)
