"""Rules as a form shows them: groups of rows, each row one condition; and back."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import groupby
from typing import TypeVar

from starlette.datastructures import FormData

from notifier.domain.audience import (
    EVERYBODY,
    All,
    Answered,
    Any,
    Attribute,
    HasConsent,
    History,
    InList,
    KindIs,
    Not,
    Operator,
    Rule,
)
from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ContactKind
from notifier.domain.errors import InputError
from notifier.domain.notation.rules import HISTORY
from notifier.domain.segment import MAX_CONDITIONS, conditions, needs_a_run

WHATS = ("kind", "attribute", "locale", "consent", "list", *HISTORY, "answered")
JOINS = ("all", "any")
ANY = "any"
_COMPARED = frozenset({Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST})
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,15})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,6}")
_COMMA = re.compile(r"[,，、;；\n]")
_E = TypeVar("_E", bound=StrEnum)
_MOST_DAYS = 3650
_MAX_GROUPS = 20
_MAX_VALUE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One condition as its fields hold it. What a field means depends on `what`; the others stay as they are."""

    what: str = "kind"
    is_not: bool = False
    subject: str = ""  # attribute, channel, `campaign:KEY`, `survey:KEY`, survey
    operator: str = Operator.IS
    value: str = ""  # kind, locale, list, topic, value or values, `question=answer`
    days: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows joined by one word."""

    join: str = "all"
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Groups joined by one word."""

    join: str = "all"
    groups: tuple[Group, ...] = ()


# ── a rule as a form ──────────────────────────────────────────────────────────────────────────────


def show_rule(rule: Rule) -> Builder | None:
    """The form of a rule, None where a form of groups and rows cannot say it."""
    if rule == EVERYBODY:
        return Builder(groups=(Group(),))
    join = "any" if isinstance(rule, Any) else "all"
    parts = rule.rules if isinstance(rule, All | Any) else (rule,)
    groups: list[Group] = []
    for is_group, run in groupby(parts, lambda part: isinstance(part, All | Any)):
        some = list(run)
        groups.extend(map(_show_group, some) if is_group else [_rows_of(join, some)])
    found = Builder(join=join, groups=tuple(groups))
    # Only a form that says exactly this rule may stand for it.
    try:
        return found if all(group.rows for group in groups) and tell_rule(found) == _flat(rule) else None
    except InputError:
        return None


def _show_group(rule: Rule) -> Group:
    return _rows_of("any", rule.rules) if isinstance(rule, Any) else _rows_of("all", getattr(rule, "rules", ()))


def _rows_of(join: str, rules: Iterable[Rule]) -> Group:
    """Without rows where one of them cannot be shown."""
    rows = [_show_row(rule) for rule in rules]
    return Group(join=join, rows=() if None in rows else tuple(row for row in rows if row is not None))


def _flat(rule: Rule) -> Rule:
    """As a form says it back: groups of the outer join melt into it, of one condition nothing is joined."""
    if not isinstance(rule, All | Any):
        return rule
    return _join("any" if isinstance(rule, Any) else "all", [_flat(one) for one in rule.rules])


def _join(word: str, rules: Iterable[Rule]) -> Rule:
    kind = Any if word == "any" else All
    flat: list[Rule] = []
    for rule in rules:
        flat.extend(rule.rules if isinstance(rule, kind) else (rule,))
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _show_row(rule: Rule) -> Row | None:
    if isinstance(rule, Not):
        row = _show_row(rule.rule)
        return replace(row, is_not=True) if row is not None and not row.is_not else None
    if isinstance(rule, All | Any) or needs_a_run(rule):
        return None
    match rule:
        case KindIs(kind):
            return Row(what="kind", value=kind.value)
        case InList(key):
            return Row(what="list", value=key)
        case HasConsent(channel, topic):
            return Row(what="consent", subject=channel.value, value=topic)
        case Attribute():
            return _show_attribute(rule)
        case History():
            return _show_history(rule)
        case Answered():
            answer = f"{rule.question}={_spell(rule.value)}" if rule.question else ""
            return Row(what="answered", subject=rule.survey, value=answer, days=_show_days(rule.within))
    return None


def _show_attribute(rule: Attribute) -> Row | None:
    operand = rule.operand
    if rule.name == "locale" and rule.operator in {Operator.IS, Operator.IN}:
        values = operand if isinstance(operand, tuple) else (operand,)
        return Row(what="locale", value=", ".join(map(_spell, values)))  # type: ignore[arg-type]
    if rule.operator is Operator.PRESENT:
        return Row(what="attribute", subject=rule.name, operator="present" if operand else "absent")
    values = operand if isinstance(operand, tuple) else (operand,)
    value = ", ".join(map(_spell, values))  # type: ignore[arg-type]
    return Row(what="attribute", subject=rule.name, operator=rule.operator.value, value=value)


def _show_history(rule: History) -> Row | None:
    if rule.run or rule.step or (rule.campaign and rule.survey):
        return None
    subject = f"campaign:{rule.campaign}" if rule.campaign else f"survey:{rule.survey}" if rule.survey else ""
    return Row(what=rule.what, subject=subject, days=_show_days(rule.within))


def _show_days(within: timedelta | None) -> str:
    if within is None:
        return ""
    return str(within.days) if within == timedelta(days=within.days) else "?"  # hours have no field


def _spell(value: AttributeValue) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


# ── a form as a rule ──────────────────────────────────────────────────────────────────────────────


def tell_rule(builder: Builder) -> Rule:
    """The rule a form says; `InputError` names the row: `g0.r1`. Rows nobody filled in yet are named too."""
    rules = [
        _join(group.join, [_tell_row(f"g{g}.r{r}", row) for r, row in enumerate(group.rows)])
        for g, group in enumerate(builder.groups)
        if group.rows
    ]
    found = _join(builder.join, rules) if rules else EVERYBODY
    if sum(1 for _ in conditions(found)) > MAX_CONDITIONS:
        raise InputError("rule", f"has more than {MAX_CONDITIONS} conditions", "Import a list and ask for that")
    return found


def _tell_row(at: str, row: Row) -> Rule:
    rule = _tell_condition(at, row)
    return Not(rule) if row.is_not else rule


def _tell_condition(at: str, row: Row) -> Rule:
    match row.what:
        case "kind":
            return KindIs(_choose(at, ContactKind, row.value))
        case "list":
            return InList(_needed(at, row.value, "Choose a list"))
        case "consent":
            return HasConsent(_choose(at, Channel, row.subject), row.value)
        case "locale":
            return _tell_values("locale", _values(at, row.value, plain=True))
        case "attribute":
            return _tell_attribute(at, row)
        case "answered":
            return _tell_answered(at, row)
        case what if what in HISTORY:
            return _tell_history(at, row)
    raise InputError(at, "is no condition", "Choose one from the list")


def _tell_attribute(at: str, row: Row) -> Rule:
    name = _needed(at, row.subject, "Choose an attribute")
    if row.operator in {"present", "absent"}:
        return Attribute(name, Operator.PRESENT, row.operator == "present")
    try:
        operator = Operator(row.operator)
    except ValueError:
        raise InputError(at, "cannot be compared like this", "Choose a comparison from the list") from None
    if operator is Operator.CONTAINS:
        return Attribute(name, operator, _needed(at, row.value, "Write what it contains"))
    if operator in _COMPARED:
        return Attribute(name, operator, _ordered(at, row.value))
    values = _values(at, row.value)
    return Attribute(name, operator, values) if operator is Operator.IN else Attribute(name, operator, values[0])


def _tell_values(name: str, values: tuple[AttributeValue, ...]) -> Rule:
    return Attribute(name, Operator.IN, values) if len(values) > 1 else Attribute(name, Operator.IS, values[0])


def _tell_history(at: str, row: Row) -> Rule:
    kind, _, key = row.subject.partition(":")
    within = _within(at, row.days)
    if not key and within is None:
        raise InputError(at, "does not say what", "Choose a campaign, or say within how many days")
    campaign, survey = (key, "") if kind == "campaign" else ("", key)
    return History(what=row.what, campaign=campaign, survey=survey, within=within)


def _tell_answered(at: str, row: Row) -> Rule:
    survey = _needed(at, row.subject, "Choose a survey")
    question, _, answer = row.value.partition("=")
    value = _scalar(answer) if answer else None
    return Answered(survey=survey, question=question, value=value, within=_within(at, row.days))


def _choose(at: str, kind: type[_E], value: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise InputError(at, "is not filled in", "Choose one from the list") from None


def _needed(at: str, value: str, remedy: str) -> str:
    if not value:
        raise InputError(at, "is not filled in", remedy)
    return value


def _values(at: str, text: str, *, plain: bool = False) -> tuple[AttributeValue, ...]:
    found = [part.strip() for part in _COMMA.split(text) if part.strip()]
    if not found:
        raise InputError(at, "is not filled in", "Write a value; several with commas between them")
    return tuple(found) if plain else tuple(_scalar(part) for part in found)


def _scalar(text: str) -> AttributeValue:
    """Numbers and truth values as what they are: an import stores `12` as the number."""
    if text in {"true", "false"}:
        return text == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _ordered(at: str, text: str) -> AttributeValue:
    value = _scalar(text)
    is_day = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d)?", value)
    if isinstance(value, bool) or (isinstance(value, str) and not is_day):
        raise InputError(at, "compares numbers and dates", "Write a number, or a date such as 2026-01-31")
    return value


def _within(at: str, days: str) -> timedelta | None:
    if not days:
        return None
    if not _WHOLE.fullmatch(days) or not 1 <= int(days) <= _MOST_DAYS:
        raise InputError(at, "has no number of days", f"Write a whole number from 1 to {_MOST_DAYS}")
    return timedelta(days=int(days))


# ── the fields ────────────────────────────────────────────────────────────────────────────────────

_NAME = re.compile(r"g(\d{1,2})\.r(\d{1,3})\.(what|was|not|subject|operator|value|days)")
_GROUP = re.compile(r"g(\d{1,2})\.join")


def read_builder(form: FormData) -> Builder:
    """What the fields `join`, `g0.join`, `g0.r1.what` … hold; `InputError` where there are more than anybody reads."""
    groups: dict[int, str] = {}
    rows: dict[tuple[int, int], dict[str, str]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, str):
            continue
        if found := _GROUP.fullmatch(name):
            groups[int(found[1])] = value if value in JOINS else "all"
        elif found := _NAME.fullmatch(name):
            rows.setdefault((int(found[1]), int(found[2])), {})[found[3]] = _clean(value)
    if len(rows) > MAX_CONDITIONS or len(groups) > _MAX_GROUPS:
        raise InputError("rule", f"has more than {MAX_CONDITIONS} conditions", "Import a list and ask for that")
    numbers = sorted(groups.keys() | {g for g, _ in rows})
    join = str(form.get("join", "all"))
    return Builder(
        join=join if join in JOINS else "all",
        groups=tuple(
            Group(
                join=groups.get(number, "all"),
                rows=tuple(_read_row(fields) for (g, _), fields in sorted(rows.items()) if g == number),
            )
            for number in numbers
        ),
    )


def _clean(value: str) -> str:
    return value.replace("\x00", "").strip()[:_MAX_VALUE]


def _read_row(fields: Mapping[str, str]) -> Row:
    """A row whose kind was just changed begins anew: what stood in it meant something else."""
    what = fields.get("what", "kind")
    if fields.get("was", what) != what:
        fields = {"not": fields.get("not", "")}
    return Row(
        what=what if what in WHATS else "kind",
        is_not=fields.get("not", "") == "1",
        subject=fields.get("subject", ""),
        operator=fields.get("operator") or Operator.IS,
        value=fields.get("value", ""),
        days=fields.get("days", ""),
    )


def change_builder(builder: Builder, act: str) -> Builder:
    """The form after a button: `add-row:0`, `remove-row:0.1`, `add-group`, `remove-group:0`; else as it was."""
    verb, _, place = act.partition(":")
    groups = list(builder.groups)
    if verb == "add-group" and len(groups) < _MAX_GROUPS:
        return replace(builder, groups=(*groups, Group(join="any", rows=(Row(),))))
    if not (found := re.fullmatch(r"(\d{1,2})(?:\.(\d{1,3}))?", place)) or int(found[1]) >= len(groups):
        return builder
    at, row = int(found[1]), int(found[2] or 0)
    if verb == "add-row" and sum(len(group.rows) for group in groups) < MAX_CONDITIONS:
        groups[at] = replace(groups[at], rows=(*groups[at].rows, Row(what="attribute")))
    elif verb == "remove-row":
        rows = tuple(one for number, one in enumerate(groups[at].rows) if number != row)
        groups[at] = replace(groups[at], rows=rows)
    elif verb == "remove-group":
        del groups[at]
    return replace(builder, groups=tuple(groups) or (Group(),))
