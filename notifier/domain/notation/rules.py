"""Audience rules, read and written."""

from collections.abc import Callable
from datetime import date, datetime

from notifier.domain.audience import (
    EVERYBODY,
    All,
    Answered,
    Any,
    Attribute,
    HasConsent,
    History,
    InList,
    InputIs,
    InputRef,
    KindIs,
    Not,
    Operand,
    Operator,
    Rule,
)
from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ContactKind
from notifier.domain.notation.node import NAME, Value, did_you_mean
from notifier.domain.notation.values import write_duration

HISTORY = ("received", "delivered", "acknowledged")
KEYWORDS = ("all", "any", "not", "kind", "attribute", "consent", "list", *HISTORY, "answered", "input")
_ORDERED = {Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST}


def parse_rule(value: Value) -> Rule:
    """The rule written there; everybody where none is, or where it is wrong."""
    if not value.given or not (value.items() or value.data == {}):
        return EVERYBODY
    found = [word for word in KEYWORDS if value.child(word).given]
    if len(found) == 1:
        return _PARSERS[found[0]](value)
    if found:
        both = " and ".join(f"`{word}`" for word in found)
        value.fail(f"{both} cannot stand in one rule", "Write one rule per `-` under `all:`")
    else:
        word = next(iter(value.data), "") if isinstance(value.data, dict) else ""
        value.fail(f"`{word}` is no rule of an audience", did_you_mean(word, KEYWORDS))
    return EVERYBODY


def _several(value: Value, word: str) -> tuple[Rule, ...]:
    value.fields([word])
    rules = tuple(parse_rule(item) for item in value.child(word))
    if isinstance(value.child(word).data, list) and not rules:
        value.child(word).fail(f"`{word}` is empty", "Write at least one rule, or remove it")
    return rules


def _parse_all(value: Value) -> Rule:
    return All(_several(value, "all"))


def _parse_any(value: Value) -> Rule:
    return Any(_several(value, "any"))


def _parse_not(value: Value) -> Rule:
    inner = value.fields(["not"]).child("not")
    if inner.data == {} or inner.data is None:
        inner.fail("`not` is empty", "Write the rule that must not hold")
    return Not(parse_rule(inner))


def _parse_kind(value: Value) -> Rule:
    return KindIs(value.fields(["kind"]).child("kind").choice(ContactKind, ContactKind.CUSTOMER))


def _parse_list(value: Value) -> Rule:
    return InList(value.fields(["list"]).child("list").key())


def _parse_consent(value: Value) -> Rule:
    value.fields(["consent"], ["topic"])
    return HasConsent(value.child("consent").choice(Channel, Channel.EMAIL), value.child("topic").key())


def _parse_input(value: Value) -> Rule:
    value.fields(["input", "is"])
    return InputIs(_name(value.child("input")), scalar(value.child("is")))


def _parse_attribute(value: Value) -> Rule:
    operators = [str(operator) for operator in Operator]
    value.fields(["attribute"], operators)
    name = value.child("attribute").text()
    given = [word for word in operators if value.child(word).given]
    if len(given) != 1:
        value.fail(f"the rule about `{name}` needs one operator, it has {len(given)}", did_you_mean("", operators))
        return EVERYBODY
    operator = Operator(given[0])
    return Attribute(name, operator, _operand(value.child(given[0]), operator))


def _operand(value: Value, operator: Operator) -> Operand:
    if isinstance(value.data, dict) and operator is not Operator.PRESENT:
        return InputRef(_name(value.fields(["input"]).child("input")))
    if operator is Operator.IN:
        found = tuple(scalar(item) for item in value)
        if isinstance(value.data, list) and not found:
            value.fail("`in` is an empty list: nobody is meant", "Name at least one value")
        return found
    if operator is Operator.PRESENT:
        return value.flag(default=True)
    if operator is Operator.CONTAINS:
        return value.text()
    if operator in _ORDERED:
        return _ordered(value)
    return scalar(value)


def _ordered(value: Value) -> AttributeValue:
    """A number, or a date as `2026-01-31`: what has an order that all agree on."""
    if isinstance(value.data, (int, float)) and not isinstance(value.data, bool):
        return value.data
    if isinstance(value.data, str) and _is_date(value.data):
        return value.data
    value.fail(f"{value.called} compares numbers and dates", "Write a number, or a date such as `2026-01-31`")
    return 0


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return False
    return True


def scalar(value: Value) -> AttributeValue:
    """One text, number or truth value."""
    if isinstance(value.data, (str, int, float)):
        return value.data
    if value.given:
        value.fail(f"{value.called} must be one text, number or truth value", "For several values write `in: [a, b]`")
    return None


def _name(value: Value) -> str:
    return value.text(pattern=NAME, like="the name of an input: small letters, digits, underscores")


def _parse_history(what: str) -> Callable[[Value], Rule]:
    def parse(value: Value) -> Rule:
        body = value.fields([what]).child(what).fields([], ["campaign", "run", "survey", "step", "within"])
        within, run = body.child("within").span(), body.child("run")
        if isinstance(body.data, dict) and not (set(body.data) & {"campaign", "run", "survey", "within"}):
            body.fail(f"`{what}` does not say what", "Write `campaign`, `run`, `survey` or `within` in it")
        return History(
            what=what,
            campaign=body.child("campaign").key(),
            run=_run(run),
            survey=body.child("survey").key(),
            step=body.child("step").key(),
            within=within,
        )

    return parse


def _run(value: Value) -> int | InputRef | None:
    if isinstance(value.data, dict):
        return InputRef(_name(value.fields(["input"]).child("input")))
    return value.whole(0, low=1, high=10**15) if value.given else None


def _parse_answered(value: Value) -> Rule:
    body = value.fields(["answered"]).child("answered").fields(["survey"], ["question", "is", "within", "same_run"])
    if body.child("is").given and not body.child("question").given:
        body.fail("`is` without `question`", "Name the question whose answer is meant")
    return Answered(
        survey=body.child("survey").key(),
        question=body.child("question").key(),
        value=scalar(body.child("is")),
        within=body.child("within").span(),
        same_run=body.child("same_run").flag(default=False),
    )


_PARSERS: dict[str, Callable[[Value], Rule]] = {
    "all": _parse_all,
    "any": _parse_any,
    "not": _parse_not,
    "kind": _parse_kind,
    "attribute": _parse_attribute,
    "consent": _parse_consent,
    "list": _parse_list,
    **{word: _parse_history(word) for word in HISTORY},
    "answered": _parse_answered,
    "input": _parse_input,
}


def write_rule(rule: Rule) -> dict[str, object]:
    """The notation that `parse_rule` reads back as the same rule."""
    match rule:
        case All(rules):
            return {"all": [write_rule(inner) for inner in rules]} if rules else {}
        case Any(rules):
            return {"any": [write_rule(inner) for inner in rules]}
        case Not(inner):
            return {"not": write_rule(inner)}
        case Attribute(name, operator, operand):
            return {"attribute": name, operator.value: _write_operand(operand)}
        case HasConsent(channel, topic):
            return {"consent": channel.value, **({"topic": topic} if topic else {})}
    return _write_leaf(rule)


def _write_leaf(rule: KindIs | InList | InputIs | History | Answered) -> dict[str, object]:
    match rule:
        case KindIs(kind):
            return {"kind": kind.value}
        case InList(key):
            return {"list": key}
        case InputIs(name, value):
            return {"input": name, "is": value}
        case History():
            return {rule.what: _write_history(rule)}
        case Answered():
            return {"answered": _write_answered(rule)}


def _write_operand(operand: Operand) -> object:
    if isinstance(operand, InputRef):
        return {"input": operand.name}
    return list(operand) if isinstance(operand, tuple) else operand


def _write_history(rule: History) -> dict[str, object]:
    run = {"input": rule.run.name} if isinstance(rule.run, InputRef) else rule.run
    within = write_duration(rule.within) if rule.within else None
    found = {"campaign": rule.campaign, "run": run, "survey": rule.survey, "step": rule.step, "within": within}
    return {name: value for name, value in found.items() if value}


def _write_answered(rule: Answered) -> dict[str, object]:
    found: dict[str, object] = {"survey": rule.survey}
    if rule.question:
        found["question"] = rule.question
    if rule.value is not None:
        found["is"] = rule.value
    if rule.within:
        found["within"] = write_duration(rule.within)
    if rule.same_run:
        found["same_run"] = True
    return found
