"""Definitions as stored, read back into domain words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.domain.campaign import Campaign
from notifier.domain.errors import NotFound
from notifier.domain.spec import bank_from_spec, campaign_from_spec
from notifier.domain.template import Bank
from notifier.store import definitions as stored
from notifier.store.database import Tx
from notifier.store.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The versions a run is made of: definition ids by key."""

    bank: int
    templates: dict[str, int]
    surveys: dict[str, int]
    accounts: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """The plain form kept in `runs.pinned`."""
        return {"bank": self.bank, "templates": self.templates, "surveys": self.surveys, "accounts": self.accounts}


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignVersion:
    """A stored campaign with the bank it speaks for."""

    id: int
    campaign: Campaign
    bank: Bank


async def find_campaign(tx: Tx, team_id: int, key: str) -> CampaignVersion:
    """The newest version of a campaign; `NotFound` where there is none."""
    found = await stored.find_latest(tx, team_id, "campaign", key)
    return CampaignVersion(id=found.id, campaign=campaign_from_spec(found.spec), bank=await find_bank(tx, team_id))


async def get_campaign(tx: Tx, run: Run) -> CampaignVersion:
    """The campaign and the bank of a run, in the versions it was launched with."""
    found = await stored.get_definition(tx, run.campaign_id)
    bank = await stored.get_definition(tx, int(run.pinned["bank"]))
    return CampaignVersion(id=found.id, campaign=campaign_from_spec(found.spec), bank=bank_from_spec(bank.spec))


async def find_bank(tx: Tx, team_id: int) -> Bank:
    """The bank; `NotFound` before the first apply."""
    return bank_from_spec((await stored.find_latest(tx, team_id, "bank", "bank")).spec)


async def list_campaigns(tx: Tx, team_id: int) -> list[CampaignVersion]:
    """Every campaign in use, by key."""
    campaigns = await stored.list_latest(tx, team_id, "campaign")
    if not campaigns:
        return []
    bank = await find_bank(tx, team_id)
    return [CampaignVersion(id=found.id, campaign=campaign_from_spec(found.spec), bank=bank) for found in campaigns]


async def pin(tx: Tx, team_id: int, campaign: Campaign) -> Pinned:
    """The newest versions of everything the campaign names, and of all accounts; `NotFound` names what is gone."""
    newest = await stored.list_latest_ids(tx, team_id)
    wanted = [("bank", "bank"), *(("template", step.template) for step in campaign.steps)]
    wanted += [("survey", step.survey) for step in campaign.steps if step.survey]
    wanted += [("account", key) for step in campaign.steps for key in step.accounts]
    for kind, key in wanted:
        if (kind, key) not in newest:
            raise NotFound(f"there is no {kind} {key!r}")
    return Pinned(
        bank=newest["bank", "bank"],
        templates={step.template: newest["template", step.template] for step in campaign.steps},
        surveys={step.survey: newest["survey", step.survey] for step in campaign.steps if step.survey},
        accounts={key: number for (kind, key), number in newest.items() if kind == "account"},
    )


async def writers_of(tx: Tx, campaign_id: int, pinned: Mapping[str, Any]) -> tuple[int, ...]:
    """The users who wrote these versions here; a run that no person drafted is of their making."""
    texts = [*pinned["templates"].values(), *pinned["surveys"].values()]
    return tuple(await stored.list_authors(tx, [campaign_id, pinned["bank"], *texts]))
