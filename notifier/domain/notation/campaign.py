"""Campaigns, read and written."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from notifier.domain.campaign import Campaign, Condition, Input, InputAnchor, InputType, Schedule, Step
from notifier.domain.channel import Channel
from notifier.domain.notation.bank import read_zone, write_localized
from notifier.domain.notation.node import KEY, NAME, Value, did_you_mean
from notifier.domain.notation.pause import read_pause, read_undo, write_pause
from notifier.domain.notation.recurrence import check_repeat
from notifier.domain.notation.rules import parse_rule, write_rule
from notifier.domain.notation.template import read_purpose
from notifier.domain.notation.values import write_duration, write_local, write_percent, write_time
from notifier.domain.purpose import Purpose
from notifier.domain.text import Localized

REQUIRED = ("campaign", "title", "purpose", "steps")
OPTIONAL = ("description", "topic", "inputs", "audience", "schedule", "expires", "undo", "pause")
INPUT_REQUIRED = ("type", "label")
INPUT_OPTIONAL = ("required", "localized", "max", "not_before", "choices", "default", "example", "suggestions")
SCHEDULE = ("start", "at", "zone", "repeat")
TRAVEL = ("channels", "by", "social")
STEP = (
    *TRAVEL,
    "title",
    "template",
    "survey",
    "topic",
    "purpose",
    "after",
    "when",
    "if",
    "audience",
    "sample",
    "closes",
    "with",
)
ANCHOR = ("offset", "at")
DATES = (InputType.DATE, InputType.DATETIME)
CONTACT_ONLY = ("survey", "if", "audience", "sample", "closes")
INVITATION = "survey-invitation"  # the template of survey steps that name none
MAX_AFTER = timedelta(days=400)


def read_campaign(root: Value) -> Campaign:
    """`campaigns/**/KEY.yaml`."""
    root.fields(REQUIRED, OPTIONAL)
    steps = root.child("steps")
    if steps.data == {}:
        steps.fail("the campaign does nothing", "Write at least one step")
    purpose, inherits = _read_campaign_purpose(root.child("purpose"))
    return Campaign(
        key=root.child("campaign").key(),
        title=root.child("title").localized(),
        description=root.child("description").localized(),
        purpose=purpose,
        inherits=inherits,
        topic=root.child("topic").key(),
        inputs=_read_inputs(root.child("inputs")),
        audience=parse_rule(root.child("audience")),
        schedule=_read_schedule(root.child("schedule")),
        steps=tuple(_read_step(item) for item in steps.items(KEY)),
        expires=root.child("expires").span(),
        undo=read_undo(root.child("undo")),
        pause=read_pause(root.child("pause")),
    )


def _read_campaign_purpose(value: Value) -> tuple[Purpose | None, str]:
    if isinstance(value.data, dict):
        value.fields(["of"])
        return None, value.child("of").text(pattern=NAME, like="the name of an input of type run")
    return read_purpose(value), ""


def _read_inputs(value: Value) -> dict[str, Input]:
    found = {str(item.trail[-1]): _read_input(item) for item in value.items(NAME)}
    for item in value.items(NAME):
        _check_not_before(item.child("not_before"), found[str(item.trail[-1])], found)
    return found


def _check_not_before(value: Value, given: Input, found: Mapping[str, Input]) -> None:
    other = found.get(given.not_before)
    if given.not_before and given.type in DATES and (other is None or other is given or other.type is not given.type):
        possible = [name for name, one in found.items() if one.type is given.type and one is not given]
        value.fail(
            f"`{given.not_before}` is not another input of type {given.type}", did_you_mean(given.not_before, possible)
        )


def _read_input(value: Value) -> Input:
    value.fields(INPUT_REQUIRED, INPUT_OPTIONAL)
    kind = value.child("type").choice(InputType, InputType.TEXT)
    _refuse_foreign_keys(value, kind)
    choices, labels = _read_choices(value.child("choices"))
    if kind is InputType.CHOICE and not choices:
        value.fail(f"{value.called} is a choice without choices", "Write `choices: [a, b]`")
    return Input(
        name=str(value.trail[-1]),
        type=kind,
        label=value.child("label").localized(),
        required=value.child("required").flag(default=True),
        localized=value.child("localized").flag(default=False),
        max_length=value.child("max").whole(500, low=1, high=20_000),
        not_before=value.child("not_before").text(pattern=NAME, like="the name of an input of the same type"),
        choices=choices,
        choice_labels=labels,
        default=_plain(value.child("default")),
        example=_plain(value.child("example")),
        suggestions=_read_suggestions(value.child("suggestions")),
    )


def _read_suggestions(value: Value) -> tuple[object, ...]:
    found = tuple(_plain(item) for item in value)
    if value.given and isinstance(value.data, list) and not found:
        value.fail(f"{value.called} is an empty list", "Write at least one, or remove the key")
    return found


def _read_choices(value: Value) -> tuple[tuple[str, ...], dict[str, Localized]]:
    """`[a, b]`, or `{a: label, b: label}`."""
    if not isinstance(value.data, dict):
        return value.texts(), {}
    labels = {str(item.trail[-1]): item.localized() for item in value.items(KEY)}
    return tuple(labels), labels


def _refuse_foreign_keys(value: Value, kind: InputType) -> None:
    own = {"localized": (InputType.TEXT,), "max": (InputType.TEXT, InputType.URL), "choices": (InputType.CHOICE,)}
    own["not_before"] = DATES
    for name, kinds in own.items():
        if value.child(name).given and kind not in kinds:
            value.child(name).fail(f"`{name}` is not for an input of type {kind}", "Remove it", key=True)


def _plain(value: Value) -> object:
    if value.given and value.data is None:
        value.fail(f"{value.called} is empty", "Write a value, or remove the key")
    return value.data if value.given else None


def _read_schedule(value: Value) -> Schedule:
    value.fields([], SCHEDULE)
    start, once = value.child("start"), value.child("at")
    zone = read_zone(value.child("zone"), "bank", also=("bank", "contact"))
    if start.given and once.given:
        once.fail("`at` and `start` exclude each other", "Write `at` for one run, `start` with `repeat` for many")
    repeat = value.child("repeat")
    if once.given and repeat.given:
        repeat.fail("`at` means one run, `repeat` many", "Write `start` in place of `at`")
    elif value.given and isinstance(value.data, dict) and not (start.given or once.given):
        value.fail("the schedule does not say when", "Write `start` or `at`; without `schedule` it is on demand")
    begin = start.local_datetime() or once.local_datetime()
    return Schedule(start=begin, zone=zone, repeat=_read_repeat(repeat, begin))


def _read_repeat(value: Value, start: datetime | None) -> str:
    rule = value.text()
    problem = check_repeat(rule, start) if rule else ""
    if problem:
        value.fail(f"`repeat` is not a rule we can follow: {problem}", "Write it as in `FREQ=WEEKLY;BYDAY=MO`")
    return "" if problem else rule


def _read_step(value: Value) -> Step:
    value.fields([], STEP)
    _check_travel(value)
    _check_time(value)
    survey = value.child("survey").key()
    template = value.child("template").key(INVITATION if survey else "")
    if isinstance(value.data, dict) and not template and not value.child("template").given:
        value.fail(f"the step {value.called} has no template", "Write `template: KEY`")
    if value.child("closes").given and not survey:
        value.child("closes").fail("`closes` is for steps with a survey", "Name the `survey`, or remove it", key=True)
    return Step(
        name=str(value.trail[-1]),
        title=value.child("title").localized(),
        template=template,
        channels=value.child("channels").choices(Channel),
        by=value.child("by").choices(Channel),
        accounts=value.child("social").keys(),
        survey=survey,
        topic=value.child("topic").key(),
        purpose=read_purpose(value.child("purpose")),
        after=value.child("after").duration(),
        anchor=_read_anchor(value.child("when")) if value.child("when").given else None,
        condition=_read_condition(value.child("if")),
        audience=parse_rule(value.child("audience")),
        sample_pct=value.child("sample").percent(),
        closes=value.child("closes").span(),
        values=_read_values(value.child("with")),
    )


def _check_travel(value: Value) -> None:
    given = [name for name in TRAVEL if value.child(name).given]
    if isinstance(value.data, dict) and len(given) != 1:
        found = "none" if not given else " and ".join(f"`{name}`" for name in given)
        value.fail(
            f"the step {value.called} must say once how it travels, it has {found}",
            "Write `channels: [email, sms]` (each of them), `by: [email, sms]` (the first possible) "
            "or `social: [account]` (posts)",
        )
    for name in ("channels", "by"):
        for item in value.child(name) if isinstance(value.child(name).data, list) else ():
            if item.data == Channel.SOCIAL:
                item.fail("a post is not sent to contacts", "Write `social: [account]` in a step of its own")
    if given == ["social"]:
        for name in CONTACT_ONLY:
            if value.child(name).given:
                value.child(name).fail(f"`{name}` is about contacts, this step posts", "Remove it", key=True)


def _check_time(value: Value) -> None:
    after = value.child("after")
    if after.given and value.child("when").given:
        after.fail("`after` and `when` exclude each other", "Keep one of the two", key=True)
    if after.given and not timedelta() <= after.duration() <= MAX_AFTER:
        after.fail(f"`after: {after.data}` is out of bounds", f"Write 0m to {MAX_AFTER.days}d")


def _read_condition(value: Value) -> Condition | None:
    return value.choice(Condition, Condition.NOT_DELIVERED) if value.given else None


def _read_anchor(value: Value) -> InputAnchor:
    value.fields(["input"], ANCHOR)
    name = value.child("input").text(pattern=NAME, like="the name of an input of type date or datetime")
    offset = value.child("offset").duration()
    if not -MAX_AFTER <= offset <= MAX_AFTER:
        value.child("offset").fail("`offset` is out of bounds", f"Write -{MAX_AFTER.days}d to {MAX_AFTER.days}d")
    return InputAnchor(input=name, offset=offset, at=value.child("at").time_of_day())


def _read_values(value: Value) -> dict[str, object]:
    """Texts, numbers, truth values, lists; a mapping of locales counts as a localized text."""
    found: dict[str, object] = {}
    for item in value.items(NAME):
        if isinstance(item.data, dict):
            found[str(item.trail[-1])] = dict(item.localized().texts)
        else:
            found[str(item.trail[-1])] = _plain(item)
    return found


def write_campaign(campaign: Campaign) -> dict[str, object]:
    """The notation that `read_campaign` reads back as the same campaign."""
    purpose = campaign.purpose.value if campaign.purpose else {"of": campaign.inherits}
    found: dict[str, object] = {
        "campaign": campaign.key,
        "title": write_localized(campaign.title),
        "description": write_localized(campaign.description) if campaign.description.texts else None,
        "purpose": purpose,
        "topic": campaign.topic,
        "inputs": {name: _write_input(given) for name, given in campaign.inputs.items()},
        "audience": write_rule(campaign.audience),
        "schedule": _write_schedule(campaign.schedule),
        "expires": write_duration(campaign.expires) if campaign.expires else None,
        "undo": write_duration(campaign.undo) if campaign.undo is not None else None,
        "pause": write_pause(campaign.pause),
        "steps": {step.name: _write_step(step) for step in campaign.steps},
    }
    return _without_empty(found)


def _without_empty(found: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if value not in (None, "", {}, [])}


def _write_input(given: Input) -> dict[str, object]:
    found: dict[str, object] = {"type": given.type.value, "label": write_localized(given.label)}
    if given.type in {InputType.TEXT, InputType.URL}:
        found["max"] = given.max_length
    if not given.required:
        found["required"] = False
    if given.localized:
        found["localized"] = True
    if given.not_before:
        found["not_before"] = given.not_before
    if given.choices:
        found["choices"] = (
            {choice: write_localized(label) for choice, label in given.choice_labels.items()}
            if given.choice_labels
            else list(given.choices)
        )
    if given.suggestions:
        found["suggestions"] = list(given.suggestions)
    values = {"default": given.default, "example": given.example}
    return found | {name: value for name, value in values.items() if value is not None}


def _write_schedule(schedule: Schedule) -> dict[str, object]:
    if schedule.start is None:
        return {}
    found: dict[str, object] = {"start": write_local(schedule.start), "zone": schedule.zone}
    return found | ({"repeat": schedule.repeat} if schedule.repeat else {})


def _write_step(step: Step) -> dict[str, object]:
    found: dict[str, object] = {
        "title": write_localized(step.title) if step.title.texts else None,
        "channels": [channel.value for channel in step.channels],
        "by": [channel.value for channel in step.by],
        "social": list(step.accounts),
        "template": step.template,
        "survey": step.survey,
        "purpose": step.purpose.value if step.purpose else None,
        "topic": step.topic,
        "after": write_duration(step.after) if step.after else None,
        "when": _write_anchor(step.anchor) if step.anchor else None,
        "if": step.condition.value if step.condition else None,
        "audience": write_rule(step.audience),
        "sample": write_percent(step.sample_pct) if step.sample_pct != 100.0 else None,
        "closes": write_duration(step.closes) if step.closes else None,
        "with": dict(step.values),
    }
    return _without_empty(found)


def _write_anchor(anchor: InputAnchor) -> dict[str, object]:
    found: dict[str, object] = {"input": anchor.input, "offset": write_duration(anchor.offset)}
    return found | ({"at": write_time(anchor.at)} if anchor.at else {})
