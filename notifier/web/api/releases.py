"""From a draft to its release over the API: draft, change, look at all of it, submit, return, release."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request, Response

from notifier.domain.channel import EmailContent, SmsContent
from notifier.domain.errors import InputError
from notifier.domain.text import Localized
from notifier.planning.draft import Draft, draft_run, edit_run
from notifier.planning.outlook import SurveyOutlook
from notifier.planning.release import release_run, return_run, review_break_glass, submit_run
from notifier.planning.remarks import Remark, Value, list_remarks
from notifier.planning.review import Review, Sample, StepReview, review_run
from notifier.planning.ways import ChannelOutlook
from notifier.store import definitions as stored
from notifier.store.database import Database, Tx
from notifier.store.runs import Run, get_run
from notifier.store.views.runs import get_run_line
from notifier.web.api.keyed import Reader, Releaser, Sender, once, person
from notifier.web.api.review_shapes import (
    ChanceOut,
    DraftChange,
    GlassReviewIn,
    LinkOut,
    OutlookOut,
    ReleaseIn,
    RemarkOut,
    ReturnIn,
    ReviewOut,
    SampleOut,
    StepReviewOut,
    VersionOut,
    WaitOut,
    WayOut,
)
from notifier.web.api.runs import read_detail
from notifier.web.api.shapes import LaunchIn, RunDetail
from notifier.web.values import Id

router = APIRouter(prefix="/runs", tags=["releases"])
_LANGUAGE = "en"


@router.post("/drafts", status_code=201, summary="Draft a run", response_model=RunDetail)
async def draft(request: Request, key: Sender, body: LaunchIn) -> Response:
    """Nothing is sent before it is submitted and released. Wants an `Idempotency-Key`."""

    async def work(tx: Tx) -> RunDetail:
        run = await draft_run(tx, team_id=key.team_id, draft=_read_draft(body), by=person(key))
        return await read_detail(tx, key.team_id, run.id)

    return await once(request, key, body, status=201, work=work)


def _read_draft(body: LaunchIn) -> Draft:
    return Draft(
        campaign_key=body.campaign,
        inputs=body.inputs,
        at=body.at,
        audience_list=body.audience_list,
        segment=body.segment,
        drill=body.drill,
    )


@router.patch("/{run_id}", summary="Change a run of which nothing was sent")
async def change(request: Request, key: Sender, run_id: Id, body: DraftChange) -> RunDetail:
    """Takes the newest versions and voids a release: it has to be submitted and released anew. 409 once it has begun."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        run = await _own_run(tx, key.team_id, run_id)
        await edit_run(tx, run_id, await _changed(tx, run, body), person(key))
        return await read_detail(tx, key.team_id, run_id)


async def _changed(tx: Tx, run: Run, body: DraftChange) -> Draft:
    given = body.model_fields_set
    segment = (await stored.get_definition(tx, run.segment_id)).key if run.segment_id else ""
    return Draft(
        campaign_key=run.campaign_key,
        inputs=body.inputs if "inputs" in given and body.inputs is not None else run.inputs,
        at=body.at if "at" in given else None if run.at_once else run.nominal_at,
        audience_list=body.audience_list if "audience_list" in given else run.audience_list,
        segment=body.segment if "segment" in given else segment,
        drill=body.drill if "drill" in given else run.drill,
    )


@router.post("/{run_id}/submit", summary="Submit a run for release")
async def submit(request: Request, key: Sender, run_id: Id) -> RunDetail:
    """Its author is done. 409 where it is no draft or its time is over."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _own_run(tx, key.team_id, run_id)
        await submit_run(tx, run_id, person(key))
        return await read_detail(tx, key.team_id, run_id)


@router.post("/{run_id}/return", summary="Return a submitted run to its author")
async def give_back(request: Request, key: Sender, run_id: Id, body: ReturnIn) -> RunDetail:
    """It becomes a draft again, with the reason as its `problem`. 409 where it is not submitted."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _own_run(tx, key.team_id, run_id)
        await return_run(tx, run_id, person(key), body.reason)
        return await read_detail(tx, key.team_id, run_id)


@router.post("/{run_id}/release", summary="Release a submitted run")
async def release(request: Request, key: Releaser, run_id: Id, body: ReleaseIn) -> RunDetail:
    """Let out exactly what the review with this hash showed.

    403 for a key of its author or without a user, 409 where anything changed since or it is not submitted.
    """
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _own_run(tx, key.team_id, run_id)
        await release_run(tx, run_id, person(key), hash=_read_hash(body.hash), break_glass=body.break_glass)
        detail = await read_detail(tx, key.team_id, run_id)
    await request.app.state.bell.ring("tick")
    return detail


def _read_hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InputError("hash", "is no hash", "Give that of the review") from None


@router.post("/{run_id}/reviewed", summary="Review a release that one person made alone")
async def keep_review(request: Request, key: Releaser, run_id: Id, body: GlassReviewIn) -> RunDetail:
    """Keep what another approver found. 403 for a key of who released it, 409 where nothing waits for a review."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await _own_run(tx, key.team_id, run_id)
        await review_break_glass(tx, run_id, person(key), body.note)
        return await read_detail(tx, key.team_id, run_id)


@router.get("/{run_id}/review", summary="See all that a release would do")
async def review(request: Request, key: Reader, run_id: Id) -> ReviewOut:
    """Counts, refusals, texts for real contacts, cost, time, links and remarks. Takes a moment for a large audience."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        run = await _own_run(tx, key.team_id, run_id)
        found = await review_run(tx, run, site=request.app.state.settings.public_url)
    return _tell_review(found)


async def _own_run(tx: Tx, team_id: int, run_id: int) -> Run:
    await get_run_line(tx, team_id, run_id)
    return await get_run(tx, run_id)


def _tell_review(found: Review) -> ReviewOut:
    run, facts = found.run, found.facts
    return ReviewOut(
        run_id=run.id,
        campaign=run.campaign_key,
        state=run.state,
        purpose=run.purpose,
        drill=run.drill,
        inputs=dict(run.inputs),
        audience_list=run.audience_list,
        segment=found.segment,
        starts_at=found.starts_at,
        done_at=found.done_at,
        contacts=facts.contacts if facts else None,
        messages=found.messages,
        refused=found.refused,
        sms_parts=found.parts,
        costs=found.costs,
        missing=list(found.missing),
        problem=found.problem,
        remarks=[RemarkOut(weight=one.weight, text=_tell_remark(one)) for one in list_remarks(found)],
        steps=[_tell_step(step) for step in found.steps],
        versions=[VersionOut(kind=v.kind, key=v.key, version=v.version, newest=v.newest) for v in found.versions],
        needs_second_person=facts.needs_second if facts else None,
        hash=facts.hash.hex() if facts else "",
    )


def _tell_remark(remark: Remark) -> str:
    values = {name: _tell_value(value) for name, value in remark.values.items()}
    return remark.text % values if values else remark.text


def _tell_value(value: Value) -> str:
    match value:
        case Localized():
            return value.get(_LANGUAGE, _LANGUAGE)
        case datetime():
            return value.isoformat()
    return str(value)


def _tell_step(step: StepReview) -> StepReviewOut:
    forecast, plan = step.forecast, step.plan
    reaches = {reach.channel: reach for reach in forecast.reach} if forecast else {}
    return StepReviewOut(
        name=step.step.name,
        title=dict(step.step.title.texts),
        purpose=step.purpose,
        due_at=plan.due_at if plan else None,
        due_local=plan.due_local if plan else None,
        accounts=list(forecast.accounts) if forecast else list(step.step.accounts),
        at_most=step.step.condition is not None,
        sample_pct=step.step.sample_pct,
        channels=[_tell_way(way, reaches[way.channel].meant, reaches[way.channel].refused) for way in step.ways],
        samples=[_tell_sample(sample) for sample in step.samples],
        links=[LinkOut(address=link.address, domain=link.domain, to=link.to) for link in step.links],
        survey=_tell_outlook(step.outlook) if step.outlook else None,
    )


def _tell_way(way: ChannelOutlook, meant: int, refused: Mapping[str, int]) -> WayOut:
    bill = way.bill
    return WayOut(
        channel=way.channel,
        account=way.account.key if way.account else "",
        meant=meant,
        refused=dict(refused),
        messages=way.messages,
        per_second=way.per_second,
        is_measured=way.is_measured,
        done_at=way.pace.done_at,
        waits=[WaitOut(until=wait.until, messages=wait.messages) for wait in way.pace.waits],
        expired=way.pace.expired,
        worst_parts=bill.worst_parts if bill else None,
        total_parts=bill.total_parts if bill else None,
        cost_per_part=bill.cost_per_part if bill else None,
        total_cost=bill.total_cost if bill else None,
        currency=bill.currency if bill else "",
    )


def _tell_sample(sample: Sample) -> SampleOut:
    content, who = sample.content, sample.who
    mail = content if isinstance(content, EmailContent) else None
    return SampleOut(
        channel=sample.channel,
        locale=sample.locale,
        shown_in=sample.shown_in,
        why=who.why if who else "",
        contact=who.contact.external_id if who else "",
        lacks=list(who.lacks) if who else [],
        subject=mail.subject if mail else "",
        text=content.text if content else "",
        html=mail.html if mail else "",
        parts=sample.parts,
        encoding=content.encoding if isinstance(content, SmsContent) else "",
        problem=sample.problem,
    )


def _tell_outlook(found: SurveyOutlook) -> OutlookOut:
    return OutlookOut(
        survey=found.survey_key,
        invitations=found.invitations,
        response_pct=found.response_pct,
        is_assumed=found.is_assumed,
        expected_answers=found.expected,
        target_pct=found.target_pct,
        chances=[ChanceOut(share_pct=one.share_pct, met=one.met, not_met=one.not_met) for one in found.chances],
    )
