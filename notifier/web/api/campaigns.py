"""Campaigns over the API: what there is to launch."""

from fastapi import APIRouter, Request

from notifier.domain.campaign import Campaign, Input, Step
from notifier.store.database import Database
from notifier.web.api.keyed import Reader
from notifier.web.api.paging import Listed
from notifier.web.api.shapes import CampaignOut, InputOut, StepOut
from notifier.web.catalogue import Catalogue
from notifier.web.values import Text

router = APIRouter(prefix="/campaigns", tags=["campaigns"])


@router.get("", summary="List campaigns")
async def list_campaigns(request: Request, key: Reader) -> Listed[CampaignOut]:
    """Every campaign in use, by key; always one page."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        found = await catalogue.campaigns(tx, key.team_id)
    return Listed(items=[_tell(campaign, definition.version) for definition, campaign in found], next_cursor=None)


@router.get("/{campaign_key}", summary="Get a campaign")
async def get_campaign(request: Request, key: Reader, campaign_key: Text) -> CampaignOut:
    """With the inputs a launch needs."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        definition, campaign = await catalogue.campaign(tx, key.team_id, campaign_key)
    return _tell(campaign, definition.version)


def _tell(campaign: Campaign, version: int) -> CampaignOut:
    return CampaignOut(
        key=campaign.key,
        version=version,
        title=dict(campaign.title.texts),
        description=dict(campaign.description.texts),
        purpose=campaign.purpose.value if campaign.purpose else None,
        topic=campaign.topic,
        repeat=campaign.schedule.repeat,
        inputs=[_tell_input(one) for one in campaign.inputs.values()],
        steps=[_tell_step(step) for step in campaign.steps],
    )


def _tell_input(one: Input) -> InputOut:
    return InputOut(
        name=one.name,
        type=one.type.value,
        label=dict(one.label.texts),
        required=one.required,
        localized=one.localized,
        max_length=one.max_length if one.type == "text" else None,
        not_before=one.not_before,
        choices=list(one.choices),
        choice_labels={choice: dict(label.texts) for choice, label in one.choice_labels.items()},
        example=one.example,
    )


def _tell_step(step: Step) -> StepOut:
    return StepOut(
        name=step.name,
        title=dict(step.title.texts),
        template=step.template,
        channels=[channel.value for channel in step.channels],
        by=[channel.value for channel in step.by],
        accounts=list(step.accounts),
        survey=step.survey,
    )
