"""Whom a run means: its campaign's audience, narrowed by a list or a segment; in an exercise the staff instead."""

from notifier.domain.audience import NOBODY, All, InList, KindIs, Not, Rule
from notifier.domain.audience import Any as AnyOf
from notifier.domain.campaign import Campaign
from notifier.domain.contact import ContactKind
from notifier.domain.spec import segment_from_spec
from notifier.store import definitions as stored
from notifier.store.database import Tx
from notifier.store.runs import Run

STAFF = Not(KindIs(ContactKind.CUSTOMER))


async def run_audience(tx: Tx, run: Run, campaign: Campaign) -> Rule:
    """The rule by which the run's recipients are chosen. A campaign of posts alone means nobody in particular."""
    if all(step.is_post for step in campaign.steps):
        return NOBODY
    segment = await segment_rule(tx, run.segment_id)
    return narrow_audience(campaign, audience_list=run.audience_list, segment=segment, drill=run.drill)


async def segment_rule(tx: Tx, segment_id: int | None) -> Rule | None:
    """The rule of this version of a segment."""
    return (
        None if segment_id is None else segment_from_spec((await stored.get_definition(tx, segment_id)).spec).audience
    )


def narrow_audience(
    campaign: Campaign, *, audience_list: str = "", segment: Rule | None = None, drill: bool = False
) -> Rule:
    """The campaign's audience, or that of its exercise; of these the list's and the segment's alone."""
    meant = [exercise_audience(campaign.audience) if drill else campaign.audience]
    if audience_list:
        meant.append(InList(audience_list))
    if segment is not None:
        meant.append(segment)
    return All(tuple(meant)) if len(meant) > 1 else meant[0]


def exercise_audience(rule: Rule) -> Rule:
    """Whom an exercise means: nobody but staff, and all of them where the rule by itself means customers alone."""
    return STAFF if _means_customers_alone(rule) else All((STAFF, rule))


def _means_customers_alone(rule: Rule) -> bool:
    match rule:
        case KindIs(kind):
            return kind is ContactKind.CUSTOMER
        case All(rules):
            return any(_means_customers_alone(one) for one in rules)
        case AnyOf(rules):
            return bool(rules) and all(_means_customers_alone(one) for one in rules)
        case _:
            return False
