"""Choice: which group of contacts an emergency means, and how its messages call it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from notifier.domain.audience import All, Attribute, InputIs, InputRef, Operator, Rule
from notifier.domain.audience import Any as AnyOf
from notifier.domain.campaign import Campaign
from notifier.domain.template import Bank

_EVERYWHERE = {"zh": "我行全部网点", "en": "All our branches"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The input by which a campaign means one group of contacts, such as the customers of a branch."""

    input: str
    attribute: str
    everybody: str = ""  # the value that means all; "" = there is none
    names: str = ""  # the localized input that says the group in messages; "" = none


def find_choice(campaign: Campaign) -> Choice | None:
    """The group the audience depends on, read from its rule: `{attribute: branch, is: {input: branch}}`."""
    found = list(leaves(campaign.audience))
    for leaf in found:
        if not (isinstance(leaf, Attribute) and leaf.operator is Operator.IS and isinstance(leaf.operand, InputRef)):
            continue
        name = leaf.operand.name
        everybody = next((str(one.value) for one in found if isinstance(one, InputIs) and one.name == name), "")
        companion = campaign.inputs.get(f"{name}_name")
        names = companion.name if companion is not None and companion.localized else ""
        return Choice(input=name, attribute=leaf.name, everybody=everybody, names=names)
    return None


def leaves(rule: Rule) -> Iterator[Rule]:
    """The parts of a rule that hold no others, in their order."""
    if isinstance(rule, (All, AnyOf)):
        for one in rule.rules:
            yield from leaves(one)
    else:
        yield rule


def names_of(campaign: Campaign, choice: Choice, value: str, bank: Bank) -> dict[str, str]:
    """How messages call a group, per language of the bank: as prepared in the campaign, else its value everywhere."""
    if not value:
        return {}
    if value == choice.everybody:
        return {locale: _EVERYWHERE.get(locale.partition("-")[0], _EVERYWHERE["en"]) for locale in bank.locales}
    prepared = campaign.inputs[choice.names].suggestions if choice.names else ()
    for texts in prepared:
        if isinstance(texts, Mapping) and value in texts.values():
            return {locale: str(texts.get(locale) or value) for locale in bank.locales}
    return dict.fromkeys(bank.locales, value)


def complete_inputs(campaign: Campaign, given: Mapping[str, object], bank: Bank) -> dict[str, object]:
    """The inputs with the group's names filled in where nobody wrote them."""
    choice = find_choice(campaign)
    if choice is None or not choice.names:
        return dict(given)
    written = given.get(choice.names)
    texts = {name: text for name, text in written.items() if text} if isinstance(written, Mapping) else {}
    named = {**names_of(campaign, choice, str(given.get(choice.input, "")), bank), **texts}
    return {**given, choice.names: named} if named else dict(given)
