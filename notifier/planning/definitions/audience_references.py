"""Holds an audience rule against what it names: inputs, campaigns, steps, surveys, answers."""

from collections.abc import Iterable, Mapping

from notifier.domain.audience import All, Answered, Any, Attribute, History, InputIs, InputRef, Not, Rule
from notifier.domain.campaign import Campaign, Input, InputType
from notifier.domain.notation.node import did_you_mean
from notifier.domain.notation.source import Trail
from notifier.domain.segment import Segment
from notifier.domain.spec import Kind
from notifier.domain.survey import QuestionType
from notifier.planning.definitions.folder import Definitions, Entry


def check_audience(
    entry: Entry[Campaign] | Entry[Segment], rule: Rule, at: Trail, found: Definitions, broken: set[tuple[Kind, str]]
) -> None:
    """Adds to the entry's source what the rule names and nobody defines."""
    _AudienceCheck(entry, found, broken).rule(rule, at)


class _AudienceCheck:
    def __init__(
        self, entry: Entry[Campaign] | Entry[Segment], found: Definitions, broken: set[tuple[Kind, str]]
    ) -> None:
        self.entry, self.found, self.broken = entry, found, broken
        self.inputs: Mapping[str, Input] = entry.value.inputs if isinstance(entry.value, Campaign) else {}

    def rule(self, rule: Rule, at: Trail) -> None:
        match rule:
            case All(rules) | Any(rules):
                word = "all" if isinstance(rule, All) else "any"
                for index, inner in enumerate(rules):
                    self.rule(inner, (*at, word, index))
            case Not(inner):
                self.rule(inner, (*at, "not"))
            case Attribute(_, operator, InputRef(name)):
                self._input(name, (*at, operator.value, "input"))
            case InputIs():
                self._input_is(rule, at)
            case History():
                self._history(rule, (*at, rule.what))
            case Answered():
                self._answered(rule, (*at, "answered"))

    def fail(self, at: Trail, problem: str, known: Iterable[str], word: str) -> None:
        self.entry.source.add(at, problem, did_you_mean(word, known))

    def _input(self, name: str, at: Trail) -> Input | None:
        given = self.inputs.get(name)
        if given is None:
            self.fail(at, f"there is no input `{name}`", self.inputs, name)
        elif given.localized:
            self.entry.source.add(at, f"`{name}` is a text per language", "Use an input without `localized`")
        return given

    def _input_is(self, rule: InputIs, at: Trail) -> None:
        given = self._input(rule.name, (*at, "input"))
        if given is not None and given.type is InputType.CHOICE and rule.value not in given.choices:
            problem = f"`{rule.name}` has no choice `{rule.value}`"
            self.fail((*at, "is"), problem, given.choices, str(rule.value))

    def _history(self, rule: History, at: Trail) -> None:
        if isinstance(rule.run, InputRef):
            self._run(rule.run.name, (*at, "run", "input"))
        if rule.survey and rule.survey != "any":
            self._exists(Kind.SURVEY, rule.survey, self.found.surveys, (*at, "survey"))
        if rule.campaign and self._exists(Kind.CAMPAIGN, rule.campaign, self.found.campaigns, (*at, "campaign")):
            steps = [step.name for step in self.found.campaigns[rule.campaign].value.steps]
            if rule.step and rule.step not in steps:
                problem = f"the campaign `{rule.campaign}` has no step `{rule.step}`"
                self.fail((*at, "step"), problem, steps, rule.step)

    def _run(self, name: str, at: Trail) -> None:
        given = self._input(name, at)
        if given is not None and given.type is not InputType.RUN:
            runs = [key for key, item in self.inputs.items() if item.type is InputType.RUN]
            self.fail(at, f"`{name}` is not an input of type run", runs, name)

    def _exists(self, kind: Kind, key: str, known: Iterable[str], at: Trail) -> bool:
        if key in known:
            return True
        if (kind, key) not in self.broken:
            self.fail(at, f"there is no {kind} `{key}`", known, key)
        return False

    def _answered(self, rule: Answered, at: Trail) -> None:
        if rule.survey == "any" and not rule.question:
            return
        if not self._exists(Kind.SURVEY, rule.survey, self.found.surveys, (*at, "survey")) or not rule.question:
            return
        survey = self.found.surveys[rule.survey].value
        question = survey.question(rule.question)
        if question is None:
            keys = [item.key for item in survey.questions]
            self.fail((*at, "question"), f"`{rule.survey}` has no question `{rule.question}`", keys, rule.question)
        elif question.type is QuestionType.CHOICE and rule.value is not None and rule.value not in question.choices:
            problem = f"`{rule.question}` has no choice `{rule.value}`"
            self.fail((*at, "is"), problem, question.choices, str(rule.value))
        elif question.type is QuestionType.RATING and rule.value is not None:
            scores = range(1, question.scale + 1)
            if rule.value not in scores or isinstance(rule.value, bool):
                problem = f"`{rule.question}` is a rating from 1 to {question.scale}"
                self.fail((*at, "is"), problem, [str(score) for score in scores], str(rule.value))
