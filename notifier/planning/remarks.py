"""Remarks: what a person should notice before a run is released, and what changed since it was looked at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from notifier.domain.purpose import Purpose
from notifier.domain.run import run_name
from notifier.domain.text import Localized
from notifier.planning.catalogue import CampaignVersion
from notifier.planning.review import Review, StepReview
from notifier.planning.steps import useless_after

MANY_PARTS = 3
LONG_NAME = 24
Value = int | str | datetime | Localized


class Weight(StrEnum):
    """How much a remark matters."""

    STOP = "stop"  # released like this it does not do what it should
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """`text` is a message of the catalogues with `%(name)s` for each of the values."""

    weight: Weight
    text: str
    values: Mapping[str, Value] = field(default_factory=dict)


def list_remarks(review: Review) -> list[Remark]:
    """The weightiest first."""
    found = [*_on_inputs(review), *_on_audience(review), *_on_time(review), *_on_versions(review)]
    found += _on_neighbours(review) if review.is_open else []
    for step in review.steps:
        found += [*_on_step(review, step), *_on_texts(step), *_on_pace(step)]
    order = list(Weight)
    return sorted(found, key=lambda remark: order.index(remark.weight))


def _stop(text: str, **values: Value) -> Remark:
    return Remark(weight=Weight.STOP, text=text, values=values)


def _warn(text: str, **values: Value) -> Remark:
    return Remark(weight=Weight.WARNING, text=text, values=values)


def _note(text: str, **values: Value) -> Remark:
    return Remark(weight=Weight.NOTE, text=text, values=values)


def _on_inputs(review: Review) -> Iterator[Remark]:
    if review.is_standing:
        yield _note("These are single messages: each request of another system brings its own contact and inputs.")
    for name in review.missing:
        label = review.campaign.inputs[name].label
        yield _stop("“%(input)s” is not filled in yet; the texts show an example instead.", input=label)
    if review.problem:
        yield _stop("Nobody can be counted yet: %(problem)s", problem=review.problem)


def _on_audience(review: Review) -> Iterator[Remark]:
    run = review.run
    if review.forecast and not review.forecast.contacts and any(not one.step.is_post for one in review.steps):
        yield _stop("Nobody is meant: the audience is empty.")
    if run.drill:
        yield _note("This is an exercise: it is stamped as one, goes to staff alone and posts nothing.")
    if run.audience_list:
        yield _note("Only contacts on the list “%(list)s” are meant.", list=run.audience_list)
    if review.segment:
        yield _note("Only contacts of the segment “%(segment)s” are meant.", segment=review.segment)
    emergency = any(step.purpose == Purpose.EMERGENCY and not step.step.is_post for step in review.steps)
    if emergency and review.bank.emergency_overrides_opt_out:
        yield _warn("It also reaches contacts who opted out: the bank allows that for emergencies.")
    longest = max((len(one.contact.name) for found in review.locales for one in found.samples), default=0)
    if longest > LONG_NAME:
        yield _note("The longest name has %(count)s characters: look at it below.", count=longest)


def _on_time(review: Review) -> Iterator[Remark]:
    start = review.starts_at
    if start is None or start >= review.now or not review.is_open:
        return
    version = CampaignVersion(id=review.run.campaign_id, campaign=review.campaign, bank=review.bank)
    if review.now >= useless_after(review.run, version):
        yield _stop("Its time is over: nothing of it would be sent. Choose another time.")
    else:
        yield _warn("Its start lies in the past: it goes out as soon as it is released.")


def _on_neighbours(review: Review) -> Iterator[Remark]:
    for one in review.neighbours:
        if one.recipients:
            yield _warn(
                "Another run of this campaign went to %(count)s contacts from %(at)s on: %(run)s.",
                count=one.recipients,
                at=one.nominal_at,
                run=run_name(one.id),
            )
        else:
            yield _note(
                "Another run of this campaign is planned for %(at)s: %(run)s.", at=one.nominal_at, run=run_name(one.id)
            )


def _on_versions(review: Review) -> Iterator[Remark]:
    for one in review.versions:
        if one.newest > one.version and review.is_open:
            yield _warn(
                "“%(key)s” has changed: version %(newest)s is there, this run has %(version)s. Edit the run to take it.",
                key=one.key,
                newest=one.newest,
                version=one.version,
            )


def _on_step(review: Review, step: StepReview) -> Iterator[Remark]:
    counted, called = step.forecast, step.step.called
    if counted is not None and counted.reach and not counted.messages and review.forecast and review.forecast.contacts:
        yield _stop("“%(step)s” would reach nobody.", step=called)
    for way in step.ways:
        if way.account is None and way.messages:
            yield _stop("No account carries %(channel)s: “%(step)s” cannot go.", channel=way.channel.value, step=called)
        if way.bill is not None and way.bill.worst_parts > MANY_PARTS:
            yield _warn("An SMS of “%(step)s” has up to %(count)s parts.", step=called, count=way.bill.worst_parts)
        if way.bill is not None and way.bill.cost_per_part is None:
            yield _note("What an SMS costs is not known here: no price stands in its account.")
    if by_hand := [key for key in step.step.accounts if key in review.by_hand and not review.run.drill]:
        yield _note("Posts that wait for a person to publish them: %(count)s.", count=len(by_hand))


def _on_texts(step: StepReview) -> Iterator[Remark]:
    told = set[tuple[str, str]]()
    for sample in step.samples:
        if sample.content is None and ("", sample.problem) not in told:
            told.add(("", sample.problem))
            yield _stop(
                "A message of “%(step)s” cannot be made: %(problem)s", step=step.step.called, problem=sample.problem
            )
        fallback = (sample.locale, sample.shown_in)
        if sample.contacts and sample.shown_in and sample.shown_in != sample.locale and fallback not in told:
            told.add(fallback)
            yield _warn(
                "%(count)s contacts read %(locale)s and get “%(step)s” in %(other)s.",
                count=sample.contacts,
                locale=sample.locale,
                step=step.step.called,
                other=sample.shown_in,
            )
    for domain in dict.fromkeys(link.domain for link in step.links if link.to == "other"):
        yield _warn("A link of “%(step)s” leaves the bank: %(domain)s", step=step.step.called, domain=domain)
    for domain in dict.fromkeys(link.domain for link in step.links if not link.address.startswith("https:")):
        yield _warn("A link of “%(step)s” is not encrypted: %(domain)s", step=step.step.called, domain=domain)


def _on_waits(step: StepReview) -> Iterator[Remark]:
    """One line for all its channels and zones."""
    waits = [wait for way in step.ways for wait in way.pace.waits]
    if not waits:
        return
    until, latest = min(wait.until for wait in waits), max(wait.until for wait in waits)
    values: dict[str, Value] = {
        "step": step.step.called,
        "count": sum(wait.messages for wait in waits),
        "until": until,
    }
    if until == latest:
        yield _warn("%(count)s messages of “%(step)s” wait until %(until)s: quiet hours.", **values)
    else:
        yield _warn(
            "%(count)s messages of “%(step)s” wait until %(until)s, the last until %(latest)s: quiet hours.",
            latest=latest,
            **values,
        )


def _on_pace(step: StepReview) -> Iterator[Remark]:
    yield from _on_waits(step)
    for way in step.ways:
        named: dict[str, Value] = {"step": step.step.called, "channel": way.channel.value}
        if way.pace.expired:
            yield _stop(
                "%(count)s messages of “%(step)s” by %(channel)s would run out of time before they can leave.",
                count=way.pace.expired,
                **named,
            )
        if way.messages and way.per_second is None:
            yield _note("How long “%(step)s” takes by %(channel)s is unknown: nothing was sent that way yet.", **named)


# ── since it was looked at ────────────────────────────────────────────────────────────────────────

_CHANGED = {
    "contacts": "Contacts meant: %(before)s before, %(after)s now.",
    "inputs": "The inputs were changed.",
    "starts": "The time was changed.",
    "audience_list": "The list was changed.",
    "segment_version": "The segment was changed.",
    "drill": "Whether it is an exercise was changed.",
    "campaign_version": "The campaign was changed.",
    "pinned": "Templates, surveys, accounts or the bank's own words were changed.",
    "purpose": "The purpose was changed.",
}


def tell_changes(seen: Mapping[str, Any], now: Mapping[str, Any]) -> list[Remark]:
    """What differs between the facts somebody looked at and those of now."""
    found = []
    for name in [*now, *(name for name in seen if name not in now)]:
        before, after = seen.get(name), now.get(name)
        if before != after:
            values = {"before": before, "after": after} if name == "contacts" else {}
            told = {key: value for key, value in values.items() if isinstance(value, int)}
            text = (
                _CHANGED.get(name, "Something was changed.") if len(told) == len(values) else "Something was changed."
            )
            found.append(_warn(text, **told))
    return found
