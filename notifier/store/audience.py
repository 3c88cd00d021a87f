"""Audience rules become SQL: a condition over `notifier.contacts c`, values always as parameters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import count

from notifier.domain.audience import (
    All,
    Answered,
    Any,
    Attribute,
    Bindings,
    HasConsent,
    History,
    InList,
    InputIs,
    InputRef,
    KindIs,
    Not,
    Operator,
    Rule,
)
from notifier.domain.errors import InputError
from notifier.store.database import Tx
from notifier.store.messages.fragments import ACKNOWLEDGED, EXPIRED_IN_DOUBT

_COMPARISONS = {Operator.ABOVE: ">", Operator.AT_LEAST: ">=", Operator.BELOW: "<", Operator.AT_MOST: "<="}
_STATES = {
    # A bounced message was accepted once, but the contact never had it; nor may a correction call it void.
    "received": "m.state IN ('accepted', 'delivered')",
    "delivered": "m.state = 'delivered'",
}
# A correction goes to everyone who may have what it corrects, also where nobody knows.
_MAY_HAVE = f"(m.state IN ('accepted', 'delivered', 'sending', 'uncertain') OR {EXPIRED_IN_DOUBT})"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A condition over alias `c`, never NULL; its parameters are numbered from the `first` asked for."""

    sql: str
    params: tuple[object, ...]


def compile_rule(
    rule: Rule, bindings: Bindings, *, team_id: int, default_locale: str, default_zone: str, first: int = 1
) -> Fragment:
    """The rule as a condition, limited to the team. `first` is the number of its first parameter.

    `InputError` names an input that the rule refers to and `bindings` lack, or that has no order
    where one is asked for. An input that is None (optional, left out) matches nobody.
    """
    compiler = _Compiler(bindings, team_id, default_locale, default_zone, first)
    sql = f"c.team_id = {compiler.team} AND {compiler.compile(rule)}"
    return Fragment(f"({sql})", tuple(compiler.params))


async def count_audience(
    tx: Tx, rule: Rule, bindings: Bindings, *, team_id: int, default_locale: str, default_zone: str
) -> int:
    """How many contacts are meant, before consent and suppression."""
    found = compile_rule(rule, bindings, team_id=team_id, default_locale=default_locale, default_zone=default_zone)
    number: int = await tx.fetchval(f"SELECT count(*) FROM notifier.contacts c WHERE {found.sql}", *found.params)
    return number


class _Compiler:
    def __init__(self, bindings: Bindings, team_id: int, locale: str, zone: str, first: int) -> None:
        self.params: list[object] = []
        self._numbers = count(first)
        self._bindings = bindings
        self._columns = {"name": "", "locale": locale, "zone": zone}
        self.team = self.param(team_id, "int")

    def param(self, value: object, kind: str) -> str:
        self.params.append(value)
        return f"${next(self._numbers)}::{kind}"

    def compile(self, rule: Rule) -> str:
        match rule:
            case All(rules):
                return self._join(rules, " AND ", "true")
            case Any(rules):
                return self._join(rules, " OR ", "false")
            case Not(inner):
                return f"NOT {self.compile(inner)}"
        return self._leaf(rule)

    def _leaf(self, rule: Rule) -> str:
        match rule:
            case KindIs(kind):
                return f"(c.kind = {self.param(kind.value, 'text')})"
            case InList(key):
                return self._in_list(key)
            case HasConsent():
                return self._has_consent(rule)
            case InputIs(name, value):
                return "true" if any(_same(given, value) for given in _several(self._input(name))) else "false"
            case Attribute():
                return self._attribute(rule)
            case History():
                return self._history(rule)
            case Answered():
                return self._answered(rule)
        raise AssertionError(f"not a leaf: {type(rule).__name__}")

    def _join(self, rules: Iterable[Rule], word: str, empty: str) -> str:
        return f"({word.join(self.compile(rule) for rule in rules) or empty})"

    def _input(self, name: str) -> object:
        if name not in self._bindings.inputs:
            raise InputError(name, "the audience depends on this input, and it has no value", "Fill it in.")
        return self._bindings.inputs[name]

    def _in_list(self, key: str) -> str:
        return (
            "EXISTS (SELECT 1 FROM notifier.list_members lm JOIN notifier.lists l ON l.id = lm.list_id "
            f"WHERE lm.contact_id = c.id AND l.team_id = {self.team} AND l.key = {self.param(key, 'text')})"
        )

    def _has_consent(self, rule: HasConsent) -> str:
        """As the claim decides: an opt-out of channel or topic wins, an opt-in of either will do."""
        states = (
            "SELECT 1 FROM notifier.consent_states cs WHERE cs.contact_id = c.id "
            f"AND cs.channel = {self.param(rule.channel.value, 'text')} "
            f"AND cs.topic IN ('', {self.param(rule.topic, 'text')})"
        )
        return f"(EXISTS ({states} AND cs.act = 'opt-in') AND NOT EXISTS ({states} AND cs.act = 'opt-out'))"

    # ── attributes ────────────────────────────────────────────────────────────────────────────────

    def _value_of(self, name: str) -> tuple[str, str]:
        """The value as jsonb and as text; both NULL where the contact has none."""
        if name not in self._columns:
            key = self.param(name, "text")
            return f"(c.attributes -> {key})", f"(c.attributes ->> {key})"
        text = f"nullif(c.{name}, '')"
        if self._columns[name]:
            text = f"coalesce({text}, {self.param(self._columns[name], 'text')})"
        return f"to_jsonb({text})", text

    def _attribute(self, rule: Attribute) -> str:
        operand = self._input(rule.operand.name) if isinstance(rule.operand, InputRef) else rule.operand
        if operand in ((), []) or (operand is None and isinstance(rule.operand, InputRef)):
            return "false"
        value, text = self._value_of(rule.name)
        match rule.operator:
            case Operator.PRESENT:
                return f"(coalesce({text}, '') {'<>' if operand else '='} '')"
            case Operator.IS | Operator.IN:
                return self._is_one_of(value, text, _several(operand))
            case Operator.CONTAINS:
                needle = self.param(str(operand), "text")
                return f"coalesce(strpos(lower({text}), lower({needle})) > 0, false)"
        return self._ordered(rule, value, text, operand)

    def _is_one_of(self, value: str, text: str, operands: tuple[object, ...]) -> str:
        """Numbers and truth values equal their like; a text equals any value that reads the same.

        A text input `12` must find the branch that an import stored as the number 12.
        """
        tests = []
        texts = [_iso(operand) for operand in operands if isinstance(operand, (str, date))]
        if texts:
            tests.append(f"{text} = ANY({self.param(texts, 'text[]')})")
        for operand in operands:
            if operand is None:
                tests.append(f"{text} IS NULL")
            elif isinstance(operand, bool):
                tests.append(f"{value} = to_jsonb({self.param(operand, 'boolean')})")
            elif isinstance(operand, (int, float, Decimal)):
                tests.append(f"{value} = to_jsonb({self.param(Decimal(str(operand)), 'numeric')})")
        return f"coalesce({' OR '.join(tests) or 'false'}, false)"

    def _ordered(self, rule: Attribute, value: str, text: str, operand: object) -> str:
        sign = _COMPARISONS[rule.operator]
        if isinstance(operand, (int, float, Decimal)) and not isinstance(operand, bool):
            limit = self.param(Decimal(str(operand)), "numeric")
            # CASE, because AND promises no order and a cast of a text would fail the whole run.
            return f"(CASE jsonb_typeof({value}) WHEN 'number' THEN {value}::numeric {sign} {limit} ELSE false END)"
        day = _iso(operand)
        if not _is_date(day):
            raise InputError(rule.name, f"`{rule.operator}` compares numbers and dates", "Give one of these.")
        limit = self.param(day, "text")
        shaped = f"{text} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'"
        # Only as much of the value as the limit says: the whole day of 2026-03-12 is `at_most: 2026-03-12`.
        cut = f'left({text}, length({limit})) COLLATE "C" {sign} {limit} COLLATE "C"'
        return f"(CASE WHEN jsonb_typeof({value}) = 'string' AND {shaped} THEN {cut} ELSE false END)"

    # ── history ───────────────────────────────────────────────────────────────────────────────────

    def _history(self, rule: History) -> str:
        run = self._input(rule.run.name) if isinstance(rule.run, InputRef) else rule.run
        if isinstance(rule.run, InputRef) and run is None:
            return "false"
        tests = [f"m.contact_id = c.id AND m.team_id = {self.team}"]
        if run is not None:
            tests.append(f"m.run_id = {self.param(_run_id(rule, run), 'bigint')}")
        if rule.step:
            tests.append(f"m.step = {self.param(rule.step, 'text')}")
        if rule.campaign:
            tests.append(
                "EXISTS (SELECT 1 FROM notifier.runs r WHERE r.id = m.run_id "
                f"AND r.campaign_key = {self.param(rule.campaign, 'text')})"
            )
        if rule.survey:
            tests.append(f"EXISTS ({self._invitation()} {self._survey_key('i', rule.survey)})")
        tests.append(self._happened(rule))
        return f"EXISTS (SELECT 1 FROM notifier.messages m WHERE {' AND '.join(tests)})"

    def _invitation(self) -> str:
        return "SELECT 1 FROM notifier.invitations i WHERE i.run_id = m.run_id AND i.message_id = m.id"

    def _survey_key(self, alias: str, key: str) -> str:
        return "" if key == "any" else f"AND {alias}.survey_key = {self.param(key, 'text')}"

    def _happened(self, rule: History) -> str:
        since = f">= notifier.now() - {self.param(rule.within, 'interval')}" if rule.within else "IS NOT NULL"
        if rule.what in _STATES:
            at = "m.changed_at, m.accepted_at" if rule.what == "delivered" else "m.accepted_at, m.changed_at"
            states = _MAY_HAVE if rule.what == "received" and rule.run is not None else _STATES[rule.what]
            return f"{states} AND coalesce({at}, m.planned_at) {since}"
        return (
            "(EXISTS (SELECT 1 FROM notifier.events v WHERE v.run_id = m.run_id AND v.message_id = m.id "
            f"AND {ACKNOWLEDGED} AND v.at {since}) "
            f"OR EXISTS ({self._invitation()} AND i.answered_at {since}))"
        )

    def _answered(self, rule: Answered) -> str:
        tests = [f"r.contact_id = c.id AND r.team_id = {self.team} {self._survey_key('r', rule.survey)}"]
        if rule.within:
            tests.append(f"r.received_at >= notifier.now() - {self.param(rule.within, 'interval')}")
        if rule.same_run:
            tests.append(f"r.run_id = {self.param(self._bindings.run_id, 'bigint')}")
        if rule.question:
            tests.append(
                "EXISTS (SELECT 1 FROM notifier.answers a WHERE a.response_id = r.id "
                f"AND a.question = {self.param(rule.question, 'text')}{self._answer_is(rule)})"
            )
        return f"EXISTS (SELECT 1 FROM notifier.responses r WHERE {' AND '.join(tests)})"

    def _answer_is(self, rule: Answered) -> str:
        if rule.value is None:
            return ""
        # Answers stand as numbers or texts; one spelling of both compares a rating given as 4 or as "4".
        return f" AND coalesce(a.text, a.number::text) = {self.param(_spelled(rule.value), 'text')}"


def _several(value: object) -> tuple[object, ...]:
    """A localized input means any of its texts."""
    match value:
        case Mapping():
            return tuple(value.values())
        case list() | tuple():
            return tuple(value)
    return (value,)


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) >= 10


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else _iso(value)


def _same(given: object, value: object) -> bool:
    return given is not None and value is not None and _spelled(given) == _spelled(value)


def _run_id(rule: History, value: object) -> int:
    """Run inputs come as numbers or, out of a form, as digits."""
    if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19):
        return int(value)
    name = rule.run.name if isinstance(rule.run, InputRef) else rule.what
    raise InputError(name, "not the id of a run", "Give the number the run is listed under.")
