"""Posts by hand: an approved post becomes a task that a person finishes; for every network without a door of its own."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, Outgoing
from notifier.domain.errors import Fault, NeverAgain
from notifier.providers.base import Capabilities, Dependencies, Provider, ProviderKind, Settings, WithoutCallbacks

_CAPABILITIES = Capabilities(channels=frozenset({Channel.SOCIAL}), by_hand=True, idempotent=True)


class ManualSettings(Settings):
    """What the person who posts is told."""

    open_url: Annotated[
        str, Field(pattern=r"^(https://\S+)?$", description="the https address where the person posts, or nothing")
    ] = ""
    max_chars: Annotated[int, Field(ge=0, description="the network's longest text in characters, 0 = unlimited")] = 0


class Manual(WithoutCallbacks):
    """Takes every post: the message's own row is the task, so there is nothing to keep here."""

    name = "manual"
    capabilities = _CAPABILITIES

    def __init__(self, settings: ManualSettings) -> None:
        self._settings = settings

    async def send(self, outgoing: Outgoing) -> Acceptance:
        length = len(outgoing.content.text)
        if 0 < self._settings.max_chars < length:
            raise NeverAgain(
                f"{length} characters, the network takes {self._settings.max_chars}", code="length", fault=Fault.CONTENT
            )
        return Acceptance(provider_ref=outgoing.public_id, detail="task")

    async def aclose(self) -> None:
        """Nothing is open."""


def _open(account: Account, secrets: Mapping[str, str], deps: Dependencies) -> Provider:
    del secrets, deps
    return Manual(ManualSettings.model_validate(dict(account.settings)))


MANUAL = ProviderKind(name="manual", settings=ManualSettings, capabilities=_CAPABILITIES, opener=_open)
