"""Follow-up: a correction or an all-clear, to exactly those who got an earlier run."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from notifier.domain.audience import History, InputRef, Rule
from notifier.domain.campaign import Campaign, InputType
from notifier.planning.catalogue import CampaignVersion
from notifier.planning.emergency.choice import find_choice, leaves
from notifier.store.runs import Run

_EARLIER = "earlier"  # the input that says in a few words what is followed


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """A campaign that goes to exactly those who got an earlier run; `kinds` are what it can be."""

    campaign: Campaign
    kind_input: str
    kinds: tuple[str, ...]


def follow_up(campaign: Campaign) -> FollowUp | None:
    """What this campaign can say to those who got an earlier run; None where it is not for that."""
    if not campaign.inherits or not any(_is_of_run(leaf, campaign.inherits) for leaf in leaves(campaign.audience)):
        return None
    kind = next((wanted for wanted in campaign.inputs.values() if wanted.type is InputType.CHOICE), None)
    return FollowUp(campaign=campaign, kind_input=kind.name if kind else "", kinds=kind.choices if kind else ())


def _is_of_run(rule: Rule, name: str) -> bool:
    return isinstance(rule, History) and rule.what == "received" and rule.run == InputRef(name)


def follow_up_inputs(found: FollowUp, kind: str, run: Run, corrected: CampaignVersion) -> dict[str, object]:
    """The inputs of a follow-up as far as the run it follows says them."""
    inputs: dict[str, object] = {found.campaign.inherits: run.id}
    if found.kind_input and kind in found.kinds:
        inputs[found.kind_input] = kind
    earlier = found.campaign.inputs.get(_EARLIER)
    if earlier is not None and earlier.localized and (texts := _in_few_words(run, corrected, earlier.max_length)):
        inputs[_EARLIER] = texts
    return inputs


def _in_few_words(run: Run, corrected: CampaignVersion, longest: int) -> dict[str, str]:
    """Whom it was about and of which day, for customers to read; a language in which that is not whole stays empty."""
    bank, choice = corrected.bank, find_choice(corrected.campaign)
    names = run.inputs.get(choice.names) if choice and choice.names else None
    if not isinstance(names, Mapping):
        return {}
    day = run.nominal_at.astimezone(ZoneInfo(bank.zone))
    texts: dict[str, str] = {}
    for locale in bank.locales:
        is_chinese = locale.startswith("zh")
        told = f"{day.month}月{day.day}日通知" if is_chinese else f", {day:%B} {day.day}"
        if (name := names.get(locale)) and len(f"{name}{told}") <= longest:
            texts[locale] = f"{name}{told}"
    return texts
