"""Audiences, schedules and steps as sentences."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

from babel import numbers

from notifier.domain import audience as rules
from notifier.domain.audience import Operator, Rule
from notifier.domain.campaign import Campaign, Condition, Input, InputType, Schedule, Step
from notifier.domain.inputs import read_inputs
from notifier.domain.text import Localized
from notifier.planning.remarks import Remark, Value
from notifier.web.console.catalogues import LOCALES
from notifier.web.console.words import Words

_COMPARISONS: Mapping[Operator, str] = {
    Operator.IS: "%(name)s is %(value)s",
    Operator.IN: "%(name)s is one of %(value)s",
    Operator.CONTAINS: "%(name)s contains %(value)s",
    Operator.ABOVE: "%(name)s is above %(value)s",
    Operator.AT_LEAST: "%(name)s is at least %(value)s",
    Operator.BELOW: "%(name)s is below %(value)s",
    Operator.AT_MOST: "%(name)s is at most %(value)s",
}
_KINDS = {"customer": "customers", "employee": "employees", "working-group": "working-group members"}
_HISTORY = {
    "received": "received %(what)s",
    "delivered": "got %(what)s delivered",
    "acknowledged": "acknowledged %(what)s",
}
_CONDITIONS = {
    Condition.NOT_DELIVERED: "only who could not be reached before",
    Condition.NOT_ACKNOWLEDGED: "only who has not acknowledged",
    Condition.NOT_ANSWERED: "only who has not answered",
}
_NTH = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth"}
_WEEKDAYS = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}


def tell_audience(rule: Rule, t: Words) -> str:  # noqa: C901 - one line per rule
    """Who is meant."""
    match rule:
        case rules.All(()):
            return t("everybody")
        case rules.All(parts):
            return _join([tell_audience(part, t) for part in parts], t("; and "))
        case rules.Any(parts):
            return t("either %(rules)s", rules=_join([tell_audience(part, t) for part in parts], t(" or ")))
        case rules.Not(part):
            return t("not: %(rule)s", rule=tell_audience(part, t))
        case rules.KindIs(kind):
            return t(_KINDS[kind.value])
        case rules.Attribute():
            return _tell_attribute(rule, t)
        case rules.HasConsent(channel, topic):
            words = "consented to %(channel)s about %(topic)s" if topic else "consented to %(channel)s"
            return t(words, channel=t(channel.value), topic=t(topic) if topic else "")
        case rules.InList(key):
            return t("on the list %(key)s", key=key)
        case rules.History():
            return _tell_history(rule, t)
        case rules.Answered():
            return _tell_answered(rule, t)
        case rules.InputIs(name, value):
            return t("the input %(name)s is %(value)s", name=name, value=value)


def _join(parts: list[str], between: str) -> str:
    return between.join(parts)


def _tell_attribute(rule: rules.Attribute, t: Words) -> str:
    if rule.operator is Operator.PRESENT:
        return t("%(name)s is known" if rule.operand else "%(name)s is unknown", name=t(rule.name))
    operand = rule.operand
    if isinstance(operand, rules.InputRef):
        value = t("the input %(name)s", name=operand.name).replace("%", "%%")
    elif isinstance(operand, tuple):
        value = t.listed([str(item) for item in operand], last="or")
    else:
        value = str(operand)
    return t(_COMPARISONS[rule.operator], name=t(rule.name), value=value)


def _tell_history(rule: rules.History, t: Words) -> str:
    if rule.campaign:
        what = t("the campaign %(key)s", key=rule.campaign)
    elif rule.survey:
        what = t("any survey") if rule.survey == "any" else t("the survey %(key)s", key=rule.survey)
    elif isinstance(rule.run, rules.InputRef):
        what = t("the run in the input %(name)s", name=rule.run.name)
    else:
        what = t("a run") if rule.run else t("any message")
    told = t(_HISTORY[rule.what], what=what)
    return t("%(told)s within %(span)s", told=told, span=t.span(rule.within)) if rule.within else told


def _tell_answered(rule: rules.Answered, t: Words) -> str:
    names = {"value": rule.value, "question": rule.question, "survey": rule.survey}
    if rule.question and rule.value is not None:
        told = t("answered %(value)s to %(question)s in %(survey)s", **names)
    elif rule.question:
        told = t("answered %(question)s in %(survey)s", question=rule.question, survey=rule.survey)
    else:
        told = t("answered any survey") if rule.survey == "any" else t("answered %(survey)s", survey=rule.survey)
    return t("%(told)s within %(span)s", told=told, span=t.span(rule.within)) if rule.within else told


def tell_schedule(schedule: Schedule, t: Words) -> str:
    """When runs start."""
    if schedule.start is None:
        return t("on demand")
    at = schedule.start.strftime("%H:%M")
    zone = {"contact": t("in each contact's time zone"), "bank": ""}.get(schedule.zone, schedule.zone)
    told = (
        _tell_repeat(schedule.repeat, schedule.start, t)
        if schedule.repeat
        else t("once, on %(day)s", day=t.day(schedule.start.date()))
    )
    sentence = t("%(when)s at %(at)s", when=told, at=at)
    return f"{sentence}{t(', ')}{zone}" if zone else sentence


def _tell_repeat(repeat: str, start: datetime, t: Words) -> str:
    parts = dict(part.split("=", 1) for part in repeat.split(";") if "=" in part)
    every = int(parts.get("INTERVAL", "1"))
    match parts.get("FREQ"), parts.get("BYDAY", ""), parts.get("BYMONTHDAY", ""):
        case "WEEKLY", by_day, _ if every == 1:
            days = by_day.split(",") if by_day else [list(_WEEKDAYS)[start.weekday()]]
            return t("every %(days)s", days=t.listed([t(_WEEKDAYS.get(day, day)) for day in days]))
        case "MONTHLY", "", by_month_day if every == 1:
            return t("every month on day %(day)s", day=by_month_day or start.day)
        case "MONTHLY", by_day, "" if by_day[:1] in _NTH and by_day[1:] in _WEEKDAYS:
            words = (
                "every %(every)s months on the %(nth)s %(weekday)s"
                if every > 1
                else "every month on the %(nth)s %(weekday)s"
            )
            return t(words, every=every, weekday=t(_WEEKDAYS[by_day[1:]]), nth=t(_NTH[by_day[0]]))
        case "DAILY", "", "" if every == 1:
            return t("every day")
    return repeat


def tell_step(step: Step, t: Words, titles: Mapping[str, Localized]) -> list[str]:
    """How a step travels, when, and to whom of the audience; one phrase each."""
    told = [_tell_way(step, t, titles), _tell_time(step, t)]
    if step.condition:
        told.append(t(_CONDITIONS[step.condition]))
    if step.sample_pct < 100:
        told.append(t("a sample of %(share)s", share=t.percent(step.sample_pct, 0)))
    if step.audience != rules.EVERYBODY:
        told.append(t("only who: %(rule)s", rule=tell_audience(step.audience, t)))
    if step.closes:
        told.append(t("answers are taken for %(span)s", span=t.span(step.closes)))
    return [part for part in told if part]


def _tell_way(step: Step, t: Words, titles: Mapping[str, Localized]) -> str:
    if step.accounts:
        names = [titles[key].get(t.locale, "en") if key in titles else key for key in step.accounts]
        return t("post on %(accounts)s", accounts=t.listed(names))
    if step.channels:
        return t("by %(channels)s", channels=t.listed([t(channel.value) for channel in step.channels]))
    return t("by %(channels)s", channels=t(", else ").join(t(channel.value) for channel in step.by))


def _tell_time(step: Step, t: Words) -> str:
    if step.anchor:
        offset = step.anchor.offset
        at = step.anchor.at.strftime("%H:%M") if step.anchor.at else ""
        if not offset:
            return t("on %(input)s at %(at)s", input=step.anchor.input, at=at)
        words = "%(span)s before %(input)s, %(at)s" if offset.days < 0 else "%(span)s after %(input)s, %(at)s"
        return t(words, span=t.span(offset), input=step.anchor.input, at=at)
    return t("%(span)s after the start", span=t.span(step.after)) if step.after else t("at the start")


def missing_inputs(campaign: Campaign, given: Mapping[str, object]) -> list[str]:
    """The names of required inputs a run has no value for."""
    return [
        name
        for name, wanted in campaign.inputs.items()
        if wanted.required and given.get(name, wanted.default) in (None, "")
    ]


def tell_remark(remark: Remark, t: Words, say: Callable[[Localized], str]) -> str:
    """A remark in the reader's language, its values as that language writes them."""
    return t(remark.text, **{name: _tell_value(value, t, say) for name, value in remark.values.items()})


def _tell_value(value: Value, t: Words, say: Callable[[Localized], str]) -> str:
    match value:
        case Localized():
            return say(value)
        case datetime():
            return t.moment(value)
        case int():
            return t.number(value)
    told = t(value)
    return told if told != value else t.problem(value)


def tell_inputs(
    campaign: Campaign, stored: Mapping[str, object], t: Words, say: Callable[[Localized], str]
) -> list[tuple[str, str]]:
    """The inputs of a run by their labels; a text per language in all of them."""
    given = read_inputs(campaign, stored)
    return [
        (say(wanted.label) or name, _tell_input(wanted, given[name], t, say))
        for name, wanted in campaign.inputs.items()
        if name in given
    ]


def _tell_input(wanted: Input, value: object, t: Words, say: Callable[[Localized], str]) -> str:
    if isinstance(value, Mapping):
        return " / ".join(str(text) for text in value.values())
    if isinstance(value, datetime):
        return t.wall(value)
    if isinstance(value, date):
        return t.day(value)
    if wanted.type is InputType.CHOICE:
        return say(wanted.choice_called(str(value))) or str(value)
    return str(value)


def tell_money(t: Words, amount: float, currency: str) -> str:
    """An amount of money; of less than one unit to the hundredth of a cent."""
    pattern = None if amount >= 1 or amount == 0 else "¤0.00##"
    return numbers.format_currency(amount, currency, pattern, locale=LOCALES[t.locale], currency_digits=pattern is None)
