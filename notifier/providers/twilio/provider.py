"""The Twilio provider: one POST per SMS, and what its answer means."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from twilio.base.exceptions import TwilioRestException, TwilioServiceException  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, Outgoing, Sought
from notifier.domain.errors import Fault, InputError, NeverAgain
from notifier.domain.event import ProviderEvent
from notifier.providers.base import (
    CallbackRequest,
    Capabilities,
    Dependencies,
    Provider,
    ProviderKind,
    Settings,
    safe_reason,
)
from notifier.providers.twilio import callbacks
from notifier.providers.twilio.client import API, BoundedHttpClient
from notifier.providers.twilio.codes import refusal
from notifier.providers.twilio.look_up import look_up
from notifier.providers.web_client import SAFE_ADDRESS

_CAPABILITIES = Capabilities(channels=frozenset({Channel.SMS}), reports_delivery=True, looks_up=True)
_MAX_VALIDITY_S = 36_000
_MAX_CHARS = 1600


class TwilioSettings(Settings):
    """One Twilio account and its sender."""

    account_sid: Annotated[str, Field(pattern=r"^AC[0-9a-fA-F]{32}$", description="AC and 32 hex digits")]
    messaging_service_sid: Annotated[
        str, Field(pattern=r"^(MG[0-9a-fA-F]{32})?$", description="MG and 32 hex digits, used instead of a sender")
    ] = ""
    api_base: Annotated[
        str, Field(pattern=SAFE_ADDRESS, description="another https address of the API, e.g. of a region")
    ] = API
    timeout_s: Annotated[float, Field(gt=0, le=300, description="seconds to wait for the whole answer")] = 20


class Twilio:
    """One account. Not idempotent: after a lost answer a callback or a look-up tells whether it was taken."""

    name = "twilio"
    capabilities = _CAPABILITIES

    def __init__(self, settings: TwilioSettings, auth_token: str, sender: str) -> None:
        self._settings, self._auth_token, self._sender = settings, auth_token, sender
        self._http = BoundedHttpClient(settings.api_base, settings.timeout_s)
        # An empty mapping would make the SDK read os.environ.
        self._client = Client(settings.account_sid, auth_token, http_client=self._http, environment={"": ""})

    async def send(self, outgoing: Outgoing) -> Acceptance:
        try:
            message = await self._client.messages.create_async(**self._fields(outgoing))
        except TwilioRestException as error:
            raise refusal(error.status, str(error.code), error.msg) from error
        except TwilioServiceException as error:
            raise refusal(error.status, str(error.code), error.title) from error
        return Acceptance(provider_ref=str(message.sid), detail=safe_reason(str(message.status)))

    async def look_up(self, sought: Sought) -> ProviderEvent | None:
        return await look_up(self._client, sought)

    async def aclose(self) -> None:
        await self._http.aclose()

    def verify_callback(self, request: CallbackRequest) -> bool:
        return callbacks.verify(self._auth_token, request)

    def read_callback(self, request: CallbackRequest) -> tuple[ProviderEvent, ...]:
        return callbacks.read(request)

    def _fields(self, outgoing: Outgoing) -> dict[str, object]:
        text = outgoing.content.text
        if len(text) > _MAX_CHARS:
            raise NeverAgain(f"{len(text)} characters, Twilio takes {_MAX_CHARS}", code="21617", fault=Fault.CONTENT)
        fields: dict[str, object] = {"to": outgoing.to, "body": text, **self._from(outgoing)}
        if outgoing.callback_url:
            fields["status_callback"] = callbacks.with_message(outgoing.callback_url, outgoing.public_id)
        if outgoing.validity_s > 0:
            fields["validity_period"] = min(outgoing.validity_s, _MAX_VALIDITY_S)
        return fields

    def _from(self, outgoing: Outgoing) -> dict[str, object]:
        if self._settings.messaging_service_sid:
            return {"messaging_service_sid": self._settings.messaging_service_sid}
        return {"from_": self._sender or outgoing.sender}


def _open(account: Account, secrets: Mapping[str, str], deps: Dependencies) -> Provider:
    del deps
    return Twilio(TwilioSettings.model_validate(dict(account.settings)), secrets["auth_token"], account.sender)


def _check(account: Account) -> None:
    if not account.sender and not TwilioSettings.model_validate(dict(account.settings)).messaging_service_sid:
        raise InputError("sender", "nobody to send as", "Give the account a sender or settings.messaging_service_sid")


TWILIO = ProviderKind(
    name="twilio",
    settings=TwilioSettings,
    capabilities=_CAPABILITIES,
    opener=_open,
    required_secrets={"auth_token": "the primary auth token; it also signs the callbacks"},
    check=_check,
)
