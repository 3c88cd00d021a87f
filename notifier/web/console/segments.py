"""Segments: what there are, and the page that builds a rule and counts whom it means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from notifier.domain.audience import EVERYBODY, Rule
from notifier.domain.errors import Conflict, DefinitionErrors, InputError, NotifierError
from notifier.domain.notation.node import KEY
from notifier.domain.notation.segment import write_segment
from notifier.domain.segment import Segment
from notifier.domain.survey import QuestionType, Survey
from notifier.domain.text import Localized
from notifier.planning.definitions.yaml_file import write_yaml
from notifier.planning.segments import (
    Choices,
    Kept,
    count_segment,
    find_segment,
    list_choices,
    list_segments,
    read_text,
    restore_segment,
    retire_segment,
    save_segment,
)
from notifier.store import definitions as stored
from notifier.store.database import Database
from notifier.store.segments import Counted
from notifier.web.access.sessions import Actor, FormSender, LoggedIn, Visitor
from notifier.web.console.mistakes import say_problem
from notifier.web.console.rule_form import Builder, Group, Row, change_builder, read_builder, show_rule, tell_rule
from notifier.web.console.sentences import tell_audience
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id, Text

router = APIRouter(prefix="/segments")
_TAKEN = frozenset({"new", "build", "count"})  # addresses of ours
_NEW = Builder(groups=(Group(rows=(Row(what="kind", value="customer"),)),))
_LONGEST_TITLE = 120
_AT_ONCE_MS = 200  # a page does not wait longer
_LANGUAGES = {"zh-CN": "中文", "en": "English"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What the form of a segment holds; `builder` None: it is written as YAML."""

    key: str = ""
    title: Mapping[str, str] = field(default_factory=dict)
    builder: Builder | None = _NEW
    yaml: str = ""
    base: int = 0


# ── the pages ─────────────────────────────────────────────────────────────────────────────────────


@router.get("")
async def show_segments(request: Request, visitor: LoggedIn) -> Response:
    """All segments with their rules in words; each is counted by itself, as it may take a moment."""
    async with open_page(request, visitor) as page:
        found = await list_segments(page.tx, page.team_id)
        told = {kept.segment.key: tell_audience(kept.segment.audience, page.words) for kept in found}
        return page.show("segments.html", segments=found, told=told)


@router.get("/new")
async def show_new(request: Request, visitor: LoggedIn, copy: Text = "") -> Response:
    """The form of a new segment, or of a copy."""
    async with open_page(request, visitor) as page:
        typed = Typed()
        if copy:
            segment = (await find_segment(page.tx, page.team_id, copy)).segment
            typed = _typed(page, segment, base=0, key="")
        return await _edit_page(page, typed)


@router.post("/build")
async def build(request: Request, visitor: FormSender) -> Response:
    """The form after a button of its own: one more row, one less; as a part where the page asks for one."""
    form = await request.form()
    async with open_page(request, visitor) as page:
        typed = _read_typed(form, page)
        assert typed.builder is not None
        changed = change_builder(typed.builder, str(form.get("act", "")))
        if request.headers.get("hx-request"):
            choices = await list_choices(page.tx, page.team_id)
            return page.show("part/rule_builder.html", builder=changed, choices=choices, **_offers(page, choices))
        kept = await find_segment(page.tx, page.team_id, typed.key) if typed.base else None
        return await _edit_page(
            page, Typed(key=typed.key, title=typed.title, builder=changed, base=typed.base), kept=kept
        )


@router.post("/count")
async def count(request: Request, visitor: FormSender) -> Response:
    """The part that says whom the form means right now."""
    form = await request.form()
    async with open_page(request, visitor) as page:
        try:
            rule = _read_rule(form, page)
            counted, problem = await count_segment(page.tx, page.team_id, rule), ""
        except NotifierError as error:
            return page.show("part/segment_count.html", **_no_count(page, error))
        return page.show("part/segment_count.html", **_told(page, rule, counted), problem=problem)


@router.post("")
async def add(request: Request, visitor: Actor) -> Response:
    """Keep a new segment."""
    return await _save(request, visitor, key="")


@router.get("/{key}")
async def show_segment(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """One segment: to edit where the console manages it, else to read, with the file that says it."""
    async with open_page(request, visitor) as page:
        kept = await find_segment(page.tx, page.team_id, key)
        typed = _typed(page, kept.segment, base=kept.definition.version, key=key)
        return await _edit_page(page, typed, kept=kept)


@router.get("/{key}/size")
async def show_size(request: Request, visitor: LoggedIn, key: Text, samples: bool = False) -> Response:
    """How many one segment means, as a part; with `samples` also in words and with examples."""
    async with open_page(request, visitor) as page:
        kept = await find_segment(page.tx, page.team_id, key)
        counted = await count_segment(page.tx, page.team_id, kept.segment.audience)
        if samples:
            told = _told(page, kept.segment.audience, counted)
            return page.show("part/segment_count.html", **told, problem="")
        return page.show("part/segment_size.html", count=counted.count)


@router.get("/{key}/yaml")
async def export(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """The file that would define it, for `campaigns/segments`."""
    async with open_page(request, visitor) as page:
        kept = await find_segment(page.tx, page.team_id, key)
    headers = {"content-disposition": f'attachment; filename="{kept.segment.key}.yaml"'}
    return PlainTextResponse(write_yaml(write_segment(kept.segment)), headers=headers)


@router.post("/{key}")
async def change(request: Request, visitor: Actor, key: Text) -> Response:
    """Keep a new version."""
    return await _save(request, visitor, key=key)


@router.post("/{key}/restore")
async def restore(request: Request, visitor: Actor, key: Text, version: Id) -> Response:
    """Make an old version the newest again."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await restore_segment(tx, visitor.user.team_id, key, version, by=visitor.person)
    return RedirectResponse(f"/segments/{key}?done=restored", 303)


@router.post("/{key}/retire")
async def retire(request: Request, visitor: Actor, key: Text) -> Response:
    """Take it out of use."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await retire_segment(tx, visitor.user.team_id, key, by=visitor.person)
    return RedirectResponse("/segments?done=retired", 303)


# ── saving ────────────────────────────────────────────────────────────────────────────────────────


async def _save(request: Request, visitor: Visitor, *, key: str) -> Response:
    form = await request.form()
    database: Database = request.app.state.database
    async with open_page(request, visitor) as page:
        typed = _read_typed(form, page, key=key)
    try:
        segment = _segment(typed)
        async with database.transaction() as tx:
            await save_segment(tx, visitor.user.team_id, segment, by=visitor.person, base=typed.base)
    except (InputError, Conflict, DefinitionErrors) as error:
        async with open_page(request, visitor) as page:
            kept = await find_segment(page.tx, page.team_id, key) if key else None
            return await _edit_page(page, typed, kept=kept, problem=error)
    return RedirectResponse(f"/segments/{segment.key}?done=saved", 303)


def _segment(typed: Typed) -> Segment:
    if typed.key in _TAKEN or not KEY.fullmatch(typed.key):
        raise InputError("key", "cannot be this", "Use small letters, digits and hyphens, such as shanghai-customers")
    if typed.builder is None:
        return read_text(typed.yaml, key=typed.key)
    for locale, text in typed.title.items():
        if not text or len(text) > _LONGEST_TITLE:
            raise InputError(f"title.{locale}", "is missing or too long", "Write a short name in every language")
    return Segment(key=typed.key, title=Localized(dict(typed.title)), audience=tell_rule(typed.builder))


def _read_typed(form: FormData, page: Page, *, key: str = "") -> Typed:
    base = _text(form, "base")
    return Typed(
        key=key or _text(form, "key"),
        title={locale: _text(form, f"title.{locale}") for locale in page.bank.locales},
        builder=None if "yaml" in form else read_builder(form),
        yaml=_text(form, "yaml"),
        base=int(base) if base.isascii() and base.isdecimal() and len(base) < 10 else 0,
    )


def _read_rule(form: FormData, page: Page) -> Rule:
    typed = _read_typed(form, page)
    if typed.builder is None:
        return read_text(typed.yaml, key=typed.key).audience
    return tell_rule(typed.builder)


# ── showing ───────────────────────────────────────────────────────────────────────────────────────


def _typed(page: Page, segment: Segment, *, base: int, key: str) -> Typed:
    return Typed(
        key=key,
        title={locale: segment.title.get(locale, page.bank.default_locale) for locale in page.bank.locales},
        builder=show_rule(segment.audience),
        yaml=write_yaml(write_segment(segment)),
        base=base,
    )


async def _edit_page(
    page: Page, typed: Typed, *, kept: Kept | None = None, problem: NotifierError | None = None
) -> Response:
    choices = await list_choices(page.tx, page.team_id)
    return page.show(
        "segment.html",
        409 if isinstance(problem, Conflict) else 422 if problem else 200,
        typed=typed,
        kept=kept,
        builder=typed.builder,
        choices=choices,
        problem=say_problem(problem, page.words),
        problem_field=problem.field if isinstance(problem, InputError) else "",
        counting=await _counting(page, typed, kept),
        versions=await stored.list_versions(page.tx, page.team_id, "segment", kept.segment.key) if kept else [],
        yaml=write_yaml(write_segment(kept.segment)) if kept else "",
        **_offers(page, choices),
    )


async def _counting(page: Page, typed: Typed, kept: Kept | None) -> dict[str, Any]:
    """Whom the form means, or why that cannot be said; `is_late`: the page asks for it by itself."""
    try:
        written = kept.segment.audience if kept else EVERYBODY
        rule = written if typed.builder is None else tell_rule(typed.builder)
        counted = await count_segment(page.tx, page.team_id, rule, within_ms=_AT_ONCE_MS)
        return {**_told(page, rule, counted), "problem": "", "is_late": counted.count is None}
    except NotifierError as error:
        return {**_no_count(page, error), "is_late": False}


def _told(page: Page, rule: Rule, counted: Counted) -> dict[str, Any]:
    return {"words": tell_audience(rule, page.words), "count": counted.count, "samples": counted.samples}


def _no_count(page: Page, error: NotifierError) -> dict[str, Any]:
    return {"words": "", "count": None, "samples": (), "problem": say_problem(error, page.words)}


def _offers(page: Page, choices: Choices) -> dict[str, Any]:
    """What the selects of a row offer, as (value, label)."""
    t = page.words
    return {
        "attribute_names": [(name, t(name)) for name in choices.attributes],
        "campaign_names": [(f"campaign:{one.key}", page.say(one.title)) for one in choices.campaigns],
        "survey_names": [(one.key, page.say(one.title)) for one in choices.surveys],
        "invitation_names": [
            ("survey:any", t("any survey")),
            *((f"survey:{one.key}", page.say(one.title)) for one in choices.surveys),
        ],
        "locale_names": [
            (one, _LANGUAGES.get(one, one)) for one in dict.fromkeys((*page.bank.locales, *choices.locales))
        ],
        "list_names": [(one, one) for one in choices.lists],
        "topic_names": [(one, t(one)) for one in choices.topics],
        "answer_names": {one.key: _answers(page, one) for one in choices.surveys},
    }


def _answers(page: Page, survey: Survey) -> list[tuple[str, str]]:
    """`question=answer` of every answer one can choose."""
    found: list[tuple[str, str]] = []
    for question in survey.questions:
        text = page.say(question.text)
        if question.type is QuestionType.RATING:
            found += [(f"{question.key}={score}", f"{text} {score}") for score in range(1, question.scale + 1)]
        elif question.type is QuestionType.CHOICE:
            found += [(f"{question.key}={key}", f"{text} {page.say(label)}") for key, label in question.choices.items()]
    return found


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.replace("\r\n", "\n").replace("\x00", "").strip() if isinstance(value, str) else ""
