"""Review: one page of all that will happen if a run is released as it stands; nothing is written."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from notifier.domain.account import Account
from notifier.domain.audience import Rule
from notifier.domain.binding import bind_rule
from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel, Content, SmsContent
from notifier.domain.errors import InputError, RenderError
from notifier.domain.inputs import read_inputs
from notifier.domain.notation.bank import in_domains
from notifier.domain.run import OPEN
from notifier.domain.spec import account_from_spec
from notifier.domain.template import Bank
from notifier.planning.audience import run_audience
from notifier.planning.catalogue import CampaignVersion, get_campaign
from notifier.planning.forecast import Forecast, Reach, StepForecast, forecast_run
from notifier.planning.outlook import SurveyOutlook, look_out
from notifier.planning.preview import StepMaterial, channels_of
from notifier.planning.release import ReleaseFacts, release_facts
from notifier.planning.samples import RunMaterial, locales_of, pick_run_samples, read_material, render_for
from notifier.planning.steps import make_steps
from notifier.planning.ways import ChannelOutlook, Desk, read_desk, reckon_ways
from notifier.providers.registry import capabilities_of
from notifier.rendering.addresses import addresses_in
from notifier.store import definitions as stored
from notifier.store.database import Tx
from notifier.store.run_steps import NewStep
from notifier.store.runs import Run
from notifier.store.views.review import Neighbour, list_neighbours
from notifier.store.views.samples import LocaleSamples, SampleContact

_CLOSE = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message as one contact would get it; `who` None: the template's example, for nobody reads this language."""

    channel: Channel
    locale: str  # what the contact reads
    shown_in: str  # the language of the text, "" = there is none
    contacts: int  # of the audience read it
    who: SampleContact | None
    content: Content | None = field(repr=False)
    problem: str = ""

    @property
    def parts(self) -> int:
        """SMS parts, 0 for anything else."""
        return self.content.parts if isinstance(self.content, SmsContent) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a message leads. `to`: the bank's own domains, this service, or elsewhere."""

    address: str
    domain: str
    to: str  # "bank" | "service" | "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReview:
    """One step; `plan` and `forecast` are None while inputs are missing."""

    step: Step
    purpose: str
    plan: NewStep | None
    forecast: StepForecast | None
    ways: tuple[ChannelOutlook, ...]
    samples: tuple[Sample, ...]
    links: tuple[Link, ...]
    outlook: SurveyOutlook | None

    @property
    def done_at(self) -> datetime | None:
        """When the last message has left, None where that is unknown."""
        if self.step.is_post:
            return self.plan.due_at if self.plan else None
        sending = [way for way in self.ways if way.messages]
        known = [way.pace.done_at for way in sending if way.pace.done_at is not None]
        return max(known) if known and len(known) == len(sending) else None

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The ways its messages travel."""
        return channels_of(self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A definition the run is made of; `newest` is above `version` where it was changed since."""

    kind: str
    key: str
    version: int
    newest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All that a release lets out. `problem`: why it cannot be reckoned yet; then the texts alone are there."""

    run: Run
    campaign: Campaign
    bank: Bank
    now: datetime
    missing: tuple[str, ...]
    problem: str
    facts: ReleaseFacts | None
    forecast: Forecast | None
    locales: tuple[LocaleSamples, ...]
    steps: tuple[StepReview, ...]
    versions: tuple[Pinned, ...]
    audience: Rule  # with the run's inputs, list and segment in it
    segment: str  # the segment's key, "" = none
    by_hand: frozenset[str]  # accounts a person posts for
    neighbours: tuple[Neighbour, ...]  # other runs of the campaign within some days

    @property
    def is_standing(self) -> bool:
        """Whether it is released for single messages that other systems will ask for."""
        return self.run.kind == "standing"

    @property
    def is_open(self) -> bool:
        """Whether nothing of it was sent, so that it can be changed."""
        return self.run.state in OPEN

    @property
    def starts_at(self) -> datetime | None:
        """The time chosen; None = as soon as it is released."""
        return None if self.run.at_once and self.is_open else self.run.nominal_at

    @property
    def done_at(self) -> datetime | None:
        """When everything has left; None where that is unknown for any step."""
        known = [step.done_at for step in self.steps if step.forecast and step.forecast.messages]
        return None if not known or None in known else max(one for one in known if one)

    @property
    def refused(self) -> dict[str, int]:
        """Reason → messages that will not be sent, over all steps."""
        found: dict[str, int] = {}
        for reach in self.reaches:
            for reason, count in reach.refused.items():
                found[reason] = found.get(reason, 0) + count
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def reaches(self) -> list[Reach]:
        """Every step by channel."""
        return [reach for step in self.steps if step.forecast for reach in step.forecast.reach]

    @property
    def messages(self) -> int:
        """Messages that will be sent, posts among them; at most, where a step has a condition."""
        return sum(step.messages for step in self.forecast.steps) if self.forecast else 0

    @property
    def costs(self) -> dict[str, float]:
        """Currency → what all SMS cost."""
        found: dict[str, float] = {}
        for bill in [way.bill for step in self.steps for way in step.ways if way.bill]:
            if bill.total_cost is not None:
                found[bill.currency] = found.get(bill.currency, 0) + bill.total_cost
        return found

    @property
    def parts(self) -> int:
        """All SMS parts."""
        return sum(way.bill.total_parts for step in self.steps for way in step.ways if way.bill)


async def review_run(tx: Tx, run: Run, *, site: str = "") -> Review:
    """Counted and rendered now; `site`: the public address of this service."""
    version, material = await get_campaign(tx, run), await read_material(tx, run, site=site)
    channels = {channel for step in version.campaign.steps for channel in channels_of(step)} - {Channel.SOCIAL}
    desk = await read_desk(tx, run, version.bank, channels)
    counted = await _count(tx, run, version, material, desk.now)
    shown = await asyncio.to_thread(_render_all, material, counted.samples)
    steps = [
        await _review_step(tx, run, material.step(step.name), desk, counted, shown[step.name], site)
        for step in (version.campaign.steps[:1] if run.kind == "standing" else version.campaign.steps)
    ]
    return Review(
        run=run,
        campaign=version.campaign,
        bank=version.bank,
        now=desk.now,
        missing=() if run.kind == "standing" else material.missing,
        problem=counted.problem,
        facts=counted.facts,
        forecast=counted.forecast,
        locales=tuple(counted.samples),
        steps=tuple(steps),
        versions=tuple(await _list_versions(tx, run, version.campaign)),
        audience=bind_rule(await run_audience(tx, run, version.campaign), read_inputs(version.campaign, run.inputs)),
        segment=(await stored.get_definition(tx, run.segment_id)).key if run.segment_id else "",
        by_hand=frozenset(one.key for one in desk.accounts if capabilities_of(one.provider).by_hand),
        neighbours=() if run.kind == "standing" else tuple(await _neighbours(tx, run, desk.now)),
    )


async def _neighbours(tx: Tx, run: Run, now: datetime) -> list[Neighbour]:
    around = now if run.at_once and run.state in OPEN else run.nominal_at
    return await list_neighbours(tx, run, around=around, within=_CLOSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What can be known once all inputs are there; else empty, with the problem."""

    forecast: Forecast | None = None
    facts: ReleaseFacts | None = None
    samples: Sequence[LocaleSamples] = ()
    plans: Mapping[str, NewStep] = field(default_factory=dict)
    problem: str = ""


async def _count(tx: Tx, run: Run, version: CampaignVersion, material: RunMaterial, now: datetime) -> _Counted:
    if run.kind == "standing":  # each request brings its own contact and inputs
        return _Counted(facts=await release_facts(tx, run))
    if material.missing:
        return _Counted()
    try:
        return _Counted(
            forecast=await forecast_run(tx, run, version),
            facts=await release_facts(tx, run),
            samples=await pick_run_samples(tx, run, material),
            plans={plan.step: plan for plan in make_steps(_as_started(run, now), version)},
        )
    except InputError as error:
        return _Counted(problem=str(error))


async def _review_step(  # noqa: PLR0917 - the parts of one review
    tx: Tx, run: Run, one: StepMaterial, desk: Desk, counted: _Counted, shown: Sequence[Sample], site: str
) -> StepReview:
    steps = counted.forecast.steps if counted.forecast else ()
    forecast = next((found for found in steps if found.step == one.step.name), None)
    plan = counted.plans.get(one.step.name)
    outlook = None
    if one.survey is not None and forecast is not None:
        outlook = await look_out(tx, run.team_id, one.survey, invitations=forecast.messages, run_id=run.id)
    return StepReview(
        step=one.step,
        purpose=one.purpose.value,
        plan=plan,
        forecast=forecast,
        ways=reckon_ways(desk, forecast, plan, _worst_parts(shown)) if forecast and plan else (),
        samples=tuple(shown),
        links=tuple(_links(shown, one.bank, site)),
        outlook=outlook,
    )


def _worst_parts(samples: Sequence[Sample]) -> dict[str, int]:
    worst: dict[str, int] = {}
    for sample in samples:
        worst[sample.locale] = max(sample.parts, worst.get(sample.locale, 0))
    return worst


def _as_started(run: Run, now: datetime) -> Run:
    """What starts when it is released, as if that were now."""
    return replace(run, nominal_at=now) if run.at_once and run.state in OPEN else run


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────


def _render_all(material: RunMaterial, samples: Sequence[LocaleSamples]) -> dict[str, list[Sample]]:
    """Takes milliseconds for each text: not for the event loop."""
    return {name: list(_render_step(one, samples)) for name, one in material.steps.items()}


def _render_step(one: StepMaterial, samples: Sequence[LocaleSamples]) -> Iterator[Sample]:
    counts = {found.locale: found for found in samples}
    for channel in channels_of(one.step):
        if channel is Channel.SOCIAL:
            yield _render(one, channel, one.bank.default_locale, 0, None)
            continue
        for locale in locales_of(samples, one.bank):
            found = counts.get(locale)
            for who in found.samples if found else (None,):
                yield _render(one, channel, locale, found.contacts if found else 0, who)


def _render(one: StepMaterial, channel: Channel, locale: str, contacts: int, who: SampleContact | None) -> Sample:
    content, problem = None, ""
    try:
        content = render_for(one, channel, locale, who.contact if who else None)
    except RenderError as error:
        problem = str(error)
    return Sample(
        channel=channel,
        locale=locale,
        shown_in=one.locale_for(channel, locale) or "",
        contacts=contacts,
        who=who,
        content=content,
        problem=problem,
    )


def _links(samples: Sequence[Sample], bank: Bank, site: str) -> Iterator[Link]:
    own = urlsplit(site or bank.website).netloc
    addresses = dict.fromkeys(
        address for sample in samples if sample.content for address in addresses_in(sample.content)
    )
    for address in addresses:
        domain = urlsplit(address).netloc
        to = "service" if domain == own and site else "bank" if in_domains(address, bank.link_domains) else "other"
        yield Link(address=address, domain=domain, to=to)


async def _list_versions(tx: Tx, run: Run, campaign: Campaign) -> list[Pinned]:
    """The campaign, its templates and surveys, the bank, and the accounts its steps leave by."""
    latest = await stored.list_latest_ids(tx, run.team_id)
    pinned = [
        run.campaign_id,
        *run.pinned["templates"].values(),
        *run.pinned["surveys"].values(),
        run.pinned["bank"],
        *run.pinned["accounts"].values(),
    ]
    found = []
    for number in pinned:
        one = await stored.get_definition(tx, number)
        newest = latest.get((one.kind, one.key), number)
        version = one.version if newest == number else (await stored.get_definition(tx, newest)).version
        if one.kind != "account" or _uses(campaign, account_from_spec(one.spec)):
            found.append(Pinned(kind=one.kind, key=one.key, version=one.version, newest=version))
    return found


def _uses(campaign: Campaign, account: Account) -> bool:
    if account.channel is Channel.SOCIAL:
        return any(account.key in step.accounts for step in campaign.steps)
    return any(account.channel in channels_of(step) for step in campaign.steps)
