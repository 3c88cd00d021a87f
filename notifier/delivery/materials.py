"""What a run's messages are made of, read once per run and process: bank, templates, inputs, accounts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.account import Account
from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel
from notifier.domain.errors import NotFound
from notifier.domain.inputs import read_inputs
from notifier.domain.message import RunId
from notifier.domain.purpose import PURPOSE_OF_LANE, RULES, Purpose
from notifier.domain.spec import (
    account_from_spec,
    bank_from_spec,
    campaign_from_spec,
    survey_from_spec,
    template_from_spec,
)
from notifier.domain.survey import Survey
from notifier.domain.template import Bank
from notifier.providers.registry import capabilities_of
from notifier.rendering.prepared import Prepared
from notifier.rendering.render import CompiledTemplate, compile_template
from notifier.store import definitions as stored
from notifier.store import runs
from notifier.store.database import Database, Tx
from notifier.store.messages.steps import list_step_facts

_REMEMBERED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMaterials:
    """One step, ready to render."""

    step: Step
    template: CompiledTemplate
    survey: Survey | None
    purpose: Purpose
    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMaterials:
    """One run, ready to render."""

    run_id: RunId
    team_id: int
    campaign: Campaign
    bank: Bank
    inputs: Mapping[str, object] = field(repr=False)
    steps: Mapping[str, StepMaterials] = field(repr=False)
    accounts: Mapping[str, int]  # key → definition id
    routes: Mapping[Channel, tuple[str, ...]]  # a channel's accounts, the one used first comes first
    is_idempotent: bool  # every account takes the same message twice without harm
    is_drill: bool = False  # an exercise: everything of it is stamped
    prepared: dict[tuple[object, ...], Prepared] = field(default_factory=dict, compare=False, repr=False)

    def claim_rules(self, lane: int) -> tuple[str, bool]:
        """The zone of contacts without one, and whether opt-outs are overridden: an emergency of a bank that allows it."""
        is_emergency = PURPOSE_OF_LANE[lane] is Purpose.EMERGENCY
        return self.bank.zone, is_emergency and self.bank.emergency_overrides_opt_out

    def channels(self, lane: int) -> tuple[Channel, ...]:
        """By which channels the steps of a lane reach contacts."""
        steps = [one.step for one in self.steps.values() if RULES[one.purpose].lane == lane]
        return tuple(dict.fromkeys(channel for step in steps for channel in (*step.channels, *step.by)))

    def has_posts(self, lane: int) -> bool:
        """Whether a step of the lane is published by accounts."""
        return any(one.step.is_post for one in self.steps.values() if RULES[one.purpose].lane == lane)

    def inputs_of(self, given: Mapping[str, object] | None) -> Mapping[str, object]:
        """The run's inputs, or those of one API send."""
        return self.inputs if given is None else read_inputs(self.campaign, given)


class Library:
    """Keeps the materials of the runs a process works on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._runs: dict[RunId, RunMaterials] = {}
        self._templates: dict[tuple[int, int], CompiledTemplate] = {}

    async def get(self, run_id: RunId) -> RunMaterials:
        """The run's materials; its pinned versions never change, so they are read once."""
        if run_id not in self._runs:
            if len(self._runs) >= _REMEMBERED:
                self._runs.pop(next(iter(self._runs)))
            async with self._database.transaction() as tx:
                self._runs[run_id] = await self._read(tx, run_id)
        return self._runs[run_id]

    async def _read(self, tx: Tx, run_id: RunId) -> RunMaterials:
        run = await runs.get_run(tx, run_id)
        campaign = campaign_from_spec((await stored.get_definition(tx, run.campaign_id)).spec)
        bank_id = run.pinned["bank"]
        bank = bank_from_spec((await stored.get_definition(tx, bank_id)).spec)
        accounts = [
            account_from_spec((await stored.get_definition(tx, number)).spec)
            for number in run.pinned["accounts"].values()
        ]
        return RunMaterials(
            run_id=run_id,
            team_id=run.team_id,
            campaign=campaign,
            bank=bank,
            inputs=read_inputs(campaign, run.inputs),
            steps={
                facts.step: StepMaterials(
                    step=_step(campaign, facts.step),
                    template=await self._template(tx, facts.template_id, bank_id, bank),
                    survey=await _survey(tx, facts.survey_id),
                    purpose=Purpose(facts.purpose),
                    topic=facts.topic,
                )
                for facts in await list_step_facts(tx, run_id)
            },
            accounts=run.pinned["accounts"],
            routes=_routes(accounts),
            is_idempotent=all(capabilities_of(account.provider).idempotent for account in accounts),
            is_drill=run.drill,
        )

    async def _template(self, tx: Tx, template_id: int, bank_id: int, bank: Bank) -> CompiledTemplate:
        key = (template_id, bank_id)
        if key not in self._templates:
            spec = (await stored.get_definition(tx, template_id)).spec
            self._templates[key] = compile_template(template_from_spec(spec), bank)
        return self._templates[key]


def _step(campaign: Campaign, name: str) -> Step:
    for step in campaign.steps:
        if step.name == name:
            return step
    raise NotFound(f"the campaign {campaign.key} has no step {name!r}")


async def _survey(tx: Tx, survey_id: int | None) -> Survey | None:
    return None if survey_id is None else survey_from_spec((await stored.get_definition(tx, survey_id)).spec)


def _routes(accounts: list[Account]) -> dict[Channel, tuple[str, ...]]:
    ordered = sorted(accounts, key=lambda one: (one.order, one.key))
    return {channel: tuple(one.key for one in ordered if one.channel is channel) for channel in Channel}
