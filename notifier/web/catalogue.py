"""Definitions as every door reads them: stored specs become domain objects here and nowhere else."""

from dataclasses import dataclass, field
from typing import cast

from notifier.domain.account import Account
from notifier.domain.campaign import Campaign
from notifier.domain.errors import NotFound
from notifier.domain.spec import from_spec
from notifier.domain.survey import Survey
from notifier.domain.template import Bank, Template
from notifier.domain.text import Localized
from notifier.store.database import Tx
from notifier.store.definitions import Definition, find_latest, get_definition, list_latest

DEFAULT_TEAM = 1
"""Whose pages somebody sees who is not logged in."""
_KEPT_AT_MOST = 500
NO_BANK = Bank(
    name=Localized({"en": "Notifier"}),
    short_name=Localized({"en": "Notifier"}),
    hotline="",
    website="",
    app_name=Localized({}),
    sms_signature=Localized({}),
    sms_opt_out=Localized({}),
    footer=Localized({}),
    greeting=Localized({}),
    greeting_unnamed=Localized({}),
    sender_email="",
    reply_to="",
    link_domains=(),
)


@dataclass(slots=True)
class Catalogue:
    """Remembers definitions by the number of their version; versions never change."""

    _known: dict[int, object] = field(default_factory=dict)

    def read(self, definition: Definition) -> object:
        """The domain object of a stored version."""
        if definition.id not in self._known:
            if len(self._known) >= _KEPT_AT_MOST:
                self._known.clear()
            self._known[definition.id] = from_spec(definition.kind, definition.spec)
        return self._known[definition.id]

    async def bank(self, tx: Tx, team_id: int) -> Bank:
        """The bank; a nameless one before the first definitions are applied."""
        try:
            return cast(Bank, self.read(await find_latest(tx, team_id, "bank", "bank")))
        except NotFound:
            return NO_BANK

    async def campaigns(self, tx: Tx, team_id: int) -> list[tuple[Definition, Campaign]]:
        """Every campaign in use with the version it stands in, by key."""
        found = await list_latest(tx, team_id, "campaign")
        return [(definition, cast(Campaign, self.read(definition))) for definition in found]

    async def campaign(self, tx: Tx, team_id: int, key: str) -> tuple[Definition, Campaign]:
        """The newest version of a campaign."""
        definition = await find_latest(tx, team_id, "campaign", key)
        return definition, cast(Campaign, self.read(definition))

    async def campaign_version(self, tx: Tx, definition_id: int) -> Campaign:
        """The version a run was launched with."""
        return cast(Campaign, self.read(await get_definition(tx, definition_id)))

    async def surveys(self, tx: Tx, team_id: int) -> list[Survey]:
        """Every survey in use, by key."""
        return [cast(Survey, self.read(found)) for found in await list_latest(tx, team_id, "survey")]

    async def survey(self, tx: Tx, team_id: int, key: str) -> tuple[Definition, Survey]:
        """The newest version of a survey."""
        definition = await find_latest(tx, team_id, "survey", key)
        return definition, cast(Survey, self.read(definition))

    async def survey_version(self, tx: Tx, definition_id: int) -> Survey:
        """The version people were invited to."""
        return cast(Survey, self.read(await get_definition(tx, definition_id)))

    async def accounts(self, tx: Tx, team_id: int) -> list[Account]:
        """Every account in use."""
        found = [cast(Account, self.read(item)) for item in await list_latest(tx, team_id, "account")]
        return sorted(found, key=lambda account: (account.channel, account.order, account.key))

    async def template_version(self, tx: Tx, definition_id: int) -> tuple[Definition, Template]:
        """The very version a step was launched with."""
        definition = await get_definition(tx, definition_id)
        return definition, cast(Template, self.read(definition))
