"""The form of a draft: what it offers, what it holds, and what it says once it is sent."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from starlette.datastructures import FormData

from notifier.domain.campaign import Campaign, InputType
from notifier.domain.errors import Conflict, InputError
from notifier.domain.template import Bank
from notifier.domain.text import Localized
from notifier.planning.draft import Draft
from notifier.store import access
from notifier.store.database import Tx
from notifier.store.definitions import Definition, list_latest
from notifier.store.runs import Run
from notifier.store.views.contacts import list_lists
from notifier.store.views.review import list_former_runs
from notifier.web.access.sessions import Visitor
from notifier.web.console.names import read_names
from notifier.web.console.show import Page

_SCOPE = "draft"
_LONGEST_KEY = 100
_NOT_SAID = frozenset({"form_token", "launch_key"})
AT_ONCE, AT_TIME = "now", "at"


# ── what the form offers ──────────────────────────────────────────────────────────────────────────


async def form_choices(page: Page, campaign: Campaign, values: Mapping[str, str]) -> dict[str, Any]:
    """Runs, lists and segments to choose from; what is chosen already is always among them."""
    return {
        "run_choices": await _run_choices(page, campaign, values),
        "lists": await list_lists(page.tx, page.team_id),
        "segments": await _segments(page),
    }


async def _run_choices(page: Page, campaign: Campaign, values: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    wanted = [name for name, item in campaign.inputs.items() if item.type is InputType.RUN]
    if not wanted:
        return ()
    names, t = await read_names(page), page.words
    found = {
        str(run.id): t(
            "%(title)s, %(at)s (%(number)s, reached %(reached)s)",
            title=names.campaign(run.campaign_key),
            at=t.moment(run.nominal_at),
            number=names.run(run.id),
            reached=t.number(run.reached),
        )
        + (t(" – exercise") if run.drill else "")
        for run in await list_former_runs(page.tx, page.team_id)
    }
    chosen = [values.get(f"input.{name}", "") for name in wanted]
    return [*found.items(), *((number, number) for number in chosen if number and number not in found)]


async def _segments(page: Page) -> list[tuple[Definition, str]]:
    found = await list_latest(page.tx, page.team_id, "segment")
    return [(one, _title(page, one.spec.get("title"), one.key)) for one in found]


def _title(page: Page, title: object, key: str) -> str:
    if isinstance(title, Mapping):
        return page.say(Localized({str(locale): str(text) for locale, text in title.items()})) or key
    return title if isinstance(title, str) and title else key


# ── what it holds ─────────────────────────────────────────────────────────────────────────────────


def default_values(campaign: Campaign) -> dict[str, str]:
    """What the form holds before anybody typed."""
    defaults = {name: item.default for name, item in campaign.inputs.items() if item.default is not None}
    return flatten_inputs(campaign, defaults)


def run_values(campaign: Campaign, run: Run, *, zone: str, segment: str) -> dict[str, str]:
    """What the form of a run that stands already holds."""
    at = run.nominal_at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")
    return {
        **flatten_inputs(campaign, run.inputs),
        "start": AT_ONCE if run.at_once else AT_TIME,
        "at": "" if run.at_once else at,
        "audience_list": run.audience_list,
        "segment": segment,
        "drill": "1" if run.drill else "",
    }


def flatten_inputs(campaign: Campaign, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Inputs as form fields: `input.name`, or `input.name.locale` for a text per language."""
    fields: dict[str, str] = {}
    for name, value in inputs.items():
        if name in campaign.inputs and isinstance(value, Mapping):
            fields |= {f"input.{name}.{locale}": str(text) for locale, text in value.items()}
        elif isinstance(value, datetime):
            fields[f"input.{name}"] = value.strftime("%Y-%m-%dT%H:%M")
        else:
            fields[f"input.{name}"] = str(value)
    return fields


# ── what it says ──────────────────────────────────────────────────────────────────────────────────


def typed_values(form: FormData) -> dict[str, str]:
    """The fields as they were sent, to be shown again."""
    return {name: read_text(form, name) for name in form}


def read_draft(campaign: Campaign, form: FormData, bank: Bank) -> Draft:
    """What a person decided; `InputError` for a start that is none."""
    return Draft(
        campaign_key=campaign.key,
        inputs=read_inputs_form(campaign, form, bank),
        at=_read_start(form, bank),
        audience_list=read_text(form, "audience_list"),
        segment=read_text(form, "segment"),
        drill=read_text(form, "drill") == "1",
    )


def read_inputs_form(campaign: Campaign, form: FormData, bank: Bank) -> dict[str, object]:
    """The inputs a form gives; empty fields are left out."""
    inputs: dict[str, object] = {}
    for name, wanted in campaign.inputs.items():
        if wanted.localized:
            texts = {locale: read_text(form, f"input.{name}.{locale}") for locale in bank.locales}
            if any(texts.values()):
                inputs[name] = texts
        elif text := read_text(form, f"input.{name}"):
            inputs[name] = text
    return inputs


def _read_start(form: FormData, bank: Bank) -> datetime | None:
    """The time chosen, in the bank's zone; None = as soon as it is released."""
    start, text = read_text(form, "start"), read_text(form, "at")
    if start == AT_ONCE or (not start and not text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(bank.zone))
    except ValueError:
        raise InputError("at", "is no date and time", "Choose a day and a time") from None


def read_text(form: FormData, name: str) -> str:
    """A field without blanks around it, "" where it was not sent."""
    value = form.get(name, "")
    # Browsers send line ends as two characters; a limit in characters counts them as one. None of them sends NUL.
    return value.replace("\r\n", "\n").replace("\x00", "").strip() if isinstance(value, str) else ""


# ── a double click ────────────────────────────────────────────────────────────────────────────────


async def drafted_before(tx: Tx, visitor: Visitor, campaign_key: str, form: FormData) -> int | None:
    """The run this very form made already, as after a double click; `Conflict` if it said something else then."""
    launch_key = read_text(form, "launch_key")[:_LONGEST_KEY]
    if not launch_key:
        return None
    said = sorted((name, read_text(form, name)) for name in form if name not in _NOT_SAID)
    digest = hashlib.sha256(orjson.dumps([campaign_key, said])).digest()
    earlier = await access.reserve_request(tx, visitor.user.team_id, _SCOPE, launch_key, digest)
    if earlier is None:
        return None
    if earlier.request_hash != digest:
        raise Conflict("This form was sent before with other values. Look at the runs; send it again for one more.")
    return int(earlier.body)


async def keep_draft(tx: Tx, visitor: Visitor, form: FormData, run_id: int) -> None:
    """Remember which run the form made."""
    if launch_key := read_text(form, "launch_key")[:_LONGEST_KEY]:
        await access.keep_answer(tx, visitor.user.team_id, _SCOPE, launch_key, status=303, body=str(run_id))
