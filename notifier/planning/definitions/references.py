"""Holds definitions against each other: what one names, another must define."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from notifier.domain.campaign import Campaign, Input, InputType, Schedule, Step
from notifier.domain.channel import Channel
from notifier.domain.errors import InputError
from notifier.domain.inputs import check_value
from notifier.domain.notation.node import did_you_mean
from notifier.domain.notation.source import Source, Trail
from notifier.domain.purpose import Purpose
from notifier.domain.spec import Definition, Kind
from notifier.domain.template import Bank, Template
from notifier.planning.definitions.audience_references import check_audience
from notifier.planning.definitions.folder import Definitions, Entry, Reading

_T = TypeVar("_T", bound=Definition)

_DATES = (InputType.DATE, InputType.DATETIME)


def check_references(reading: Reading) -> None:
    """Adds to the sources' errors everything that does not fit together; needs the bank."""
    found = reading.definitions()
    if found is None:
        return
    bank = found.bank.value
    for entry in found.entries():
        _check_locales(entry, bank)
    for template in found.templates.values():
        _check_template(template, bank)
    for campaign in found.campaigns.values():
        _CampaignCheck(campaign, found, reading.broken).run()
    for segment in found.segments.values():
        check_audience(segment, segment.value.audience, ("audience",), found, reading.broken)


def _check_locales(entry: Entry[Definition], bank: Bank) -> None:
    """Every text given per language exists in all languages of the bank; a template may declare a fallback."""
    fallback = entry.value.fallback if isinstance(entry.value, Template) else {}
    for trail in entry.source.localized:
        texts = _at(entry.source, trail)
        if not isinstance(texts, dict):
            continue
        for locale in texts:
            if locale not in bank.locales:
                remedy = did_you_mean(locale, bank.locales)
                entry.source.add((*trail, locale), f"`{locale}` is not a locale of the bank", remedy, key=True)
        for locale in bank.locales:
            if locale not in texts and fallback.get(locale) not in texts:
                entry.source.add(trail, f"the text in {locale} is missing", f"Write `{locale}: …`", key=True)


def _at(source: Source, trail: Trail) -> object:
    data: object = source.data
    for part in trail:
        if isinstance(data, dict):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return data


def _check_template(entry: Entry[Template], bank: Bank) -> None:
    template, source = entry.value, entry.source
    for missing, instead in template.fallback.items():
        if instead not in bank.locales:
            remedy = did_you_mean(instead, bank.locales)
            source.add(("fallback", missing), f"`{instead}` is not a locale of the bank", remedy)
    channels = [channel for channel in Channel if template.locales(channel)]
    if not channels:
        source.add((), "has no text for any channel", "Write sms.zh-CN.txt, email.zh-CN.html or social.zh-CN.txt")
    for channel in channels:
        for locale in sorted(template.locales(channel) - set(bank.locales)):
            remedy = did_you_mean(locale, bank.locales)
            source.add((), f"has a file for {channel} in {locale}, which is no locale of the bank", remedy)
    for locale in sorted(template.locales(Channel.EMAIL)):
        if f"email.{locale}.txt" not in template.files:
            source.add((), f"email.{locale}.html has no plain text beside it", f"Write email.{locale}.txt")
    if Channel.EMAIL in channels and not template.subject.texts:
        source.add((), "has e-mails and no subject", "Write `subject: {zh-CN: …, en: …}`")


class _CampaignCheck:
    """One campaign against all it names; problems go to its source."""

    def __init__(self, entry: Entry[Campaign], found: Definitions, broken: set[tuple[Kind, str]]) -> None:
        self.entry, self.campaign, self.found, self.broken = entry, entry.value, found, broken
        self.bank = found.bank.value

    def run(self) -> None:
        self._inherits()
        self._schedule(self.campaign.schedule)
        for name, given in self.campaign.inputs.items():
            self._input(name, given)
        check_audience(self.entry, self.campaign.audience, ("audience",), self.found, self.broken)
        for step in self.campaign.steps:
            self._step(step, ("steps", step.name))

    def fail(self, trail: Trail, problem: str, remedy: str) -> None:
        self.entry.source.add(trail, problem, remedy)

    def _inherits(self) -> None:
        name = self.campaign.inherits
        given = self.campaign.inputs.get(name)
        if name and (given is None or given.type is not InputType.RUN or not given.required):
            runs = [key for key, item in self.campaign.inputs.items() if item.type is InputType.RUN]
            self.fail(("purpose",), f"`{name}` is not a required input of type run", did_you_mean(name, runs))

    def _schedule(self, schedule: Schedule) -> None:
        for name, given in self.campaign.inputs.items():
            if schedule.repeat and given.type is InputType.RUN and given.required:
                remedy = "Remove `repeat`, or make the input optional"
                self.fail(("inputs", name), "a recurring campaign cannot name an earlier run", remedy)

    def _input(self, name: str, given: Input) -> None:
        for key, value in (("default", given.default), ("example", given.example)):
            if value is not None:
                self._input_value(given, value, key, ("inputs", name, key))
        for index, value in enumerate(given.suggestions):
            self._input_value(given, value, "suggestion", ("inputs", name, "suggestions", index))

    def _input_value(self, given: Input, value: object, what: str, at: Trail) -> None:
        try:
            check_value(given, value, self.bank)
        except InputError as error:
            field = error.field.removeprefix(given.name).lstrip(".")
            self.fail((*at, field) if field else at, f"the {what} of `{error.field}` {error.problem}", error.remedy)

    def _step(self, step: Step, at: Trail) -> None:
        purpose = self.campaign.purpose_of(step)
        if purpose is Purpose.MARKETING and not step.is_post and not self.campaign.topic_of(step):
            self.fail(at, "marketing needs a topic to consent to", "Write `topic: education` in the campaign")
        self._accounts(step, at)
        self._time(step, at)
        self._survey(step, at)
        self._values(step, at)
        check_audience(self.entry, step.audience, (*at, "audience"), self.found, self.broken)
        template = self._named(Kind.TEMPLATE, self.found.templates, step.template, (*at, "template"))
        if template is not None:
            self._template(step, template.value, purpose, (*at, "template"))

    def _named(self, kind: Kind, entries: Mapping[str, Entry[_T]], key: str, at: Trail) -> Entry[_T] | None:
        if key and key not in entries and (kind, key) not in self.broken:
            self.fail(at, f"there is no {kind} `{key}`", did_you_mean(key, entries))
        return entries.get(key)

    def _accounts(self, step: Step, at: Trail) -> None:
        for index, key in enumerate(step.accounts):
            account = self._named(Kind.ACCOUNT, self.found.accounts, key, (*at, "social", index))
            if account is not None and account.value.channel is not Channel.SOCIAL:
                social = [name for name, entry in self.found.accounts.items() if entry.value.channel is Channel.SOCIAL]
                problem = f"the account `{key}` is for {account.value.channel}, not for posts"
                self.fail((*at, "social", index), problem, did_you_mean(key, social))
        broken = any(kind is Kind.ACCOUNT for kind, _ in self.broken)
        for channel in (*step.channels, *step.by):
            if not broken and not any(entry.value.channel is channel for entry in self.found.accounts.values()):
                name = "channels" if step.channels else "by"
                self.fail(
                    (*at, name),
                    f"no account sends {channel}",
                    f"Write one in campaigns/accounts/ with `channel: {channel}`",
                )

    def _time(self, step: Step, at: Trail) -> None:
        if step.anchor is not None:
            given = self.campaign.inputs.get(step.anchor.input)
            if given is None or given.type not in _DATES or not (given.required or given.default is not None):
                dates = [name for name, item in self.campaign.inputs.items() if item.type in _DATES]
                problem = f"`{step.anchor.input}` is not an input with a date that is always there"
                self.fail((*at, "when", "input"), problem, did_you_mean(step.anchor.input, dates))
        elif step.condition is not None and not self._follows(step):
            problem = f"`if: {step.condition}` looks back, and nothing was sent before this step"
            self.fail((*at, "if"), problem, "Write `after: 4h`, later than the step it looks at")

    def _follows(self, step: Step) -> bool:
        others = [other for other in self.campaign.steps if other is not step and not other.is_post]
        return any(other.anchor is not None or other.after < step.after for other in others)

    def _survey(self, step: Step, at: Trail) -> None:
        self._named(Kind.SURVEY, self.found.surveys, step.survey, (*at, "survey"))
        asked = any(other.survey for other in self.campaign.steps if other is not step)
        if step.condition is not None and step.condition.value == "not-answered" and not asked:
            self.fail((*at, "if"), "no step of this campaign asks anything", "Add a step with `survey`, or remove `if`")

    def _values(self, step: Step, at: Trail) -> None:
        for name in step.values:
            if name in self.campaign.inputs:
                self.fail(
                    (*at, "with", name), f"`{name}` is an input of the campaign too", "Give one of them another name"
                )

    def _template(self, step: Step, template: Template, purpose: Purpose | None, at: Trail) -> None:
        if template.purpose is not None and template.purpose is not purpose:
            mine = purpose or "that of the run it refers to"
            remedy = f"Write `purpose: {template.purpose}` in the step, or use a template of its purpose"
            self.fail(at, f"the template `{template.key}` is {template.purpose}, the step is {mine}", remedy)
        for channel in _channels(step):
            for locale in _missing_locales(template, channel, self.bank):
                name = f"{channel}.{locale}.{'html' if channel is Channel.EMAIL else 'txt'}"
                self.fail(
                    at,
                    f"the template `{template.key}` has no {name}",
                    f"Write it, or declare `fallback: {{{locale}: …}}` there",
                )
        for path, variable in template.variables.items():
            if path.startswith("inputs.") and not variable.optional:
                self._needs(step, path.removeprefix("inputs."), template, at)

    def _needs(self, step: Step, name: str, template: Template, at: Trail) -> None:
        given = self.campaign.inputs.get(name)
        if name in step.values or (given is not None and (given.required or given.default is not None)):
            return
        if given is None:
            names = [*self.campaign.inputs, *step.values]
            problem = f"the template `{template.key}` needs `inputs.{name}`, which this campaign does not have"
            self.fail(at, problem, f"Add it under `inputs` or `with`. {did_you_mean(name, names)}")
        else:
            problem = f"the template `{template.key}` needs `inputs.{name}`, which may be left out here"
            self.fail(at, problem, "Make the input required, give it a default, or the variable `optional: true`")


def _channels(step: Step) -> Iterable[Channel]:
    return (Channel.SOCIAL,) if step.is_post else (*step.channels, *step.by)


def _missing_locales(template: Template, channel: Channel, bank: Bank) -> list[str]:
    have = template.locales(channel)
    return [locale for locale in bank.locales if locale not in have and template.fallback.get(locale) not in have]
