"""Outlook: the groups there are, whom an emergency would go to now, and who cannot be reached."""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.domain.audience import Bindings, KindIs, Rule
from notifier.domain.campaign import Campaign
from notifier.domain.contact import ContactKind
from notifier.domain.inputs import check_value, read_inputs
from notifier.domain.purpose import RULES, Purpose
from notifier.domain.template import Bank
from notifier.planning.audience import narrow_audience
from notifier.planning.catalogue import CampaignVersion
from notifier.planning.draft import run_purpose
from notifier.planning.emergency.choice import Choice, find_choice
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.store.audience import Fragment, compile_rule
from notifier.store.database import Tx
from notifier.store.views.emergency import GROUPS_FIRST, UNREACHABLE_FIRST, Group, count_groups, count_unreachable
from notifier.store.views.forecast import FIRST, Reach, count_reach

_MOST_GROUPS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Whom it would go to now. `unreachable`: contacts whom no channel reaches; `accounts` publish the posts."""

    contacts: int
    unreachable: int
    reach: tuple[Reach, ...]
    accounts: tuple[str, ...]

    @property
    def reachable(self) -> int:
        """Contacts at least one channel reaches."""
        return self.contacts - self.unreachable


async def list_groups(tx: Tx, desk: EmergencyDesk, team_id: int, version: CampaignVersion) -> list[Group]:
    """The groups among the contacts the campaign can mean, the largest first; as of a moment ago."""
    found = await _groups(tx, desk, team_id, version)
    return [group for group in found if group.value][:_MOST_GROUPS]


async def count_everybody(tx: Tx, desk: EmergencyDesk, team_id: int, version: CampaignVersion) -> int:
    """How many contacts the campaign means where it means all of them; as of a moment ago."""
    choice = find_choice(version.campaign)
    if choice is None or not choice.everybody:
        return 0
    return sum(group.contacts for group in await _groups(tx, desk, team_id, version))


async def _groups(tx: Tx, desk: EmergencyDesk, team_id: int, version: CampaignVersion) -> list[Group]:
    """Both from one look at all contacts."""
    choice = find_choice(version.campaign)
    if choice is None:
        return []
    bindings = {choice.input: choice.everybody}
    where = _compile(_everybody(version.campaign, choice), bindings, team_id, version.bank, GROUPS_FIRST)
    return await desk.once(("groups", team_id, version.id), lambda: count_groups(tx, where, choice.attribute))


def _everybody(campaign: Campaign, choice: Choice) -> Rule:
    return campaign.audience if choice.everybody else KindIs(ContactKind.CUSTOMER)


async def look_ahead(
    tx: Tx,
    desk: EmergencyDesk,
    team_id: int,
    version: CampaignVersion,
    given: Mapping[str, object],
    *,
    drill: bool = False,
    meant: Rule | None = None,
) -> Outlook:
    """Whom these inputs mean and who can be reached; as of a moment ago. `meant`: the rule of a run that has its own.

    `InputError` names the input the audience depends on and that is missing or wrong.
    """
    campaign = version.campaign
    inputs = read_inputs(campaign, _checked(version, given))
    if meant is None:
        meant = narrow_audience(campaign, drill=drill)
    purpose = Purpose(await run_purpose(tx, team_id, campaign, inputs))
    fragments = [_compile(meant, inputs, team_id, version.bank, first) for first in (FIRST, UNREACHABLE_FIRST)]
    key = ("outlook", version.id, purpose, drill, fragments[0].sql, repr(fragments[0].params))
    return await desk.once(key, lambda: _count(tx, version, purpose, *fragments, drill=drill))


def _checked(version: CampaignVersion, given: Mapping[str, object]) -> dict[str, object]:
    """What is filled in and right; what is not is told where it matters."""
    found: dict[str, object] = {}
    for name, value in given.items():
        wanted = version.campaign.inputs.get(name)
        if wanted is not None and value not in (None, "") and not isinstance(value, Mapping):
            found[name] = check_value(wanted, value, version.bank)
    return found


async def _count(
    tx: Tx, version: CampaignVersion, purpose: Purpose, where: Fragment, unreachable: Fragment, *, drill: bool
) -> Outlook:
    campaign = version.campaign
    step = next((step for step in campaign.steps if not step.is_post), None)
    accounts = () if drill else tuple(sorted({key for step in campaign.steps for key in step.accounts}))
    if step is None:
        return Outlook(contacts=0, unreachable=0, reach=(), accounts=accounts)
    own = campaign.purpose_of(step) or purpose
    channels = [channel.value for channel in step.channels or step.by]
    topic, consent = campaign.topic_of(step), RULES[own].consent.value
    overrides = own is Purpose.EMERGENCY and version.bank.emergency_overrides_opt_out
    reach = await count_reach(
        tx,
        where,
        channels=channels,
        pick_first=bool(step.by),
        topic=topic,
        consent=consent,
        overrides_opt_out=overrides,
    )
    missed = await count_unreachable(
        tx, unreachable, channels=channels, topic=topic, consent=consent, overrides_opt_out=overrides
    )
    contacts = sum(one.meant for one in reach) if step.by else reach[0].meant
    return Outlook(contacts=contacts, unreachable=missed, reach=tuple(reach), accounts=accounts)


def _compile(rule: Rule, inputs: Mapping[str, object], team_id: int, bank: Bank, first: int) -> Fragment:
    bindings = Bindings(inputs=inputs)
    return compile_rule(
        rule, bindings, team_id=team_id, default_locale=bank.default_locale, default_zone=bank.zone, first=first
    )
