"""Templates over the API: read, try, save, versions; all that the editor can do."""

from typing import Annotated, cast

from fastapi import APIRouter, Request, Response
from pydantic import Field

from notifier.domain.channel import Channel, EmailContent, SmsContent
from notifier.domain.errors import DefinitionError, DefinitionErrors, InputError, NotFound
from notifier.domain.notation.template import write_template
from notifier.domain.template import Bank, Template
from notifier.planning.notes import TooManyTests, send_test
from notifier.planning.templates.draft import TemplateDraft, draft_of, layouts_of
from notifier.planning.templates.keep import copy_template, restore_template, save_template, take_over
from notifier.planning.templates.look import Looked, Sample, look_at
from notifier.planning.templates.versions import as_unified, campaigns_using, compare_specs, export_template
from notifier.store import definitions as stored
from notifier.store.access import ApiKey
from notifier.store.contacts import get_contact
from notifier.store.database import Database, Tx
from notifier.store.definitions import Definition, VersionLine
from notifier.web.api.keyed import Reader, Sender, Writer, once, person
from notifier.web.api.paging import Listed, Shape
from notifier.web.api.shapes import Texts
from notifier.web.catalogue import Catalogue
from notifier.web.problems import Problem, problem_json
from notifier.web.values import Id, Json, Moment, Text

router = APIRouter(prefix="/templates", tags=["templates"])
_LONGEST = 300_000


class TemplateLine(Shape):
    """A template in its newest version."""

    key: str
    version: int
    title: Texts
    purpose: str | None
    channels: dict[str, list[str]] = Field(description="by channel, the locales there is a text in")
    campaigns: list[str] = Field(description="campaigns with a step that sends it")
    file: str = Field(description="the file that manages it; empty = edited in the console and here")


class TemplateOut(TemplateLine):
    """A template with its words."""

    subject: Texts
    meta: str = Field(description="YAML: purpose, keep, variables with examples, fallback")
    definition: dict[str, Json] = Field(description="the same as plain values, as in template.yaml")
    files: dict[str, str]
    layouts: dict[str, str] = Field(description="shared files this version carries along; not changed by saving")
    runs_with_older_versions: list[int]


class DraftIn(Shape):
    """A template as typed."""

    title: dict[Text, Annotated[Text, Field(max_length=500)]]
    subject: dict[Text, Annotated[Text, Field(max_length=2_000)]] = Field(default_factory=dict)
    meta: Text = Field("", max_length=_LONGEST, description="YAML or JSON: purpose, keep, variables, fallback")
    files: dict[Text, Annotated[Text, Field(max_length=_LONGEST)]] = Field(max_length=60)

    def draft(self, key: str) -> TemplateDraft:
        """As the stage wants it."""
        files = {name: text.replace("\r\n", "\n") for name, text in self.files.items()}
        return TemplateDraft(key=key, title=self.title, subject=self.subject, meta=self.meta, files=files)


class SaveIn(DraftIn):
    """What becomes the next version."""

    base: Id = Field(description="the version these words were made from; 409 where a newer one was saved since")
    over: Id = Field(0, description="the newer version you looked at and want to replace")


class PreviewIn(DraftIn):
    """What to show of a draft."""

    file: Text = Field(max_length=80, description="`email.en.html`, `sms.zh-CN.txt`, `social.en.txt` …")
    contact: Text = Field("", max_length=200, description="external id of whose values to show; empty = the examples")
    sparse: bool = Field(False, description="without a name and every optional value")


class ProblemOut(Shape):
    """Something wrong or worth a look, and where; 0 = no line."""

    file: str
    line: int
    column: int
    problem: str
    remedy: str


class PreviewOut(Shape):
    """One text as it would be sent, and all that is wrong with the draft by itself."""

    channel: str | None
    locale: str
    subject: str
    html: str
    text: str
    problem: str = Field(description="why there is no text; empty where there is one")
    parts: int | None
    encoding: str | None
    units_left: int | None = Field(description="septets (GSM-7) or 16-bit units (UCS-2) until the next part")
    errors: list[ProblemOut]
    remarks: list[ProblemOut]


class SavedOut(Shape):
    """What became of it."""

    version: int
    is_new: bool = Field(description="false where nothing differed from the newest version")
    remarks: list[ProblemOut] = Field(default_factory=list)


class VersionOut(Shape):
    """One version of a template."""

    version: int
    author: str = Field(description="empty where a file says it")
    file: str
    created_at: Moment


class VersionDetail(VersionOut):
    """A version with its words and its difference to the one before."""

    files: dict[str, str]
    difference: str = Field(description="line by line, `+` and `-`; everything is new in the first version")


class TestOut(Shape):
    """The note that is on its way."""

    __test__ = False
    note: int


class RestoreIn(Shape):
    """The newest version you know of."""

    base: Id


class CopyIn(Shape):
    """The key of the copy."""

    to: Text = Field(min_length=1, max_length=63)


@router.get("", summary="List templates")
async def list_all(request: Request, key: Reader) -> Listed[TemplateLine]:
    """Every template in use, by key; always one page."""
    catalogue: Catalogue = request.app.state.catalogue
    async with _database(request).transaction() as tx:
        used = await _used(tx, key.team_id, catalogue)
        found = await stored.list_latest(tx, key.team_id, "template")
    lines = [_line(one, cast("Template", catalogue.read(one)), used.get(one.key, [])) for one in found]
    return Listed(items=lines, next_cursor=None)


@router.get("/{template_key}", summary="Get a template")
async def get_one(request: Request, key: Reader, template_key: Text) -> TemplateOut:
    """Its newest version, as `PUT` takes it."""
    catalogue: Catalogue = request.app.state.catalogue
    async with _database(request).transaction() as tx:
        definition, template, bank = await _find(tx, key, catalogue, template_key)
        used = await _used(tx, key.team_id, catalogue)
        runs = await stored.list_open_runs_with(tx, key.team_id, template_key)
    draft = draft_of(template, bank.locales)
    return TemplateOut(
        **_line(definition, template, used.get(template_key, [])).model_dump(),
        subject=dict(draft.subject),
        meta=draft.meta,
        definition=write_template(template),
        files=dict(draft.files),
        layouts=layouts_of(template),
        runs_with_older_versions=[run.run_id for run in runs if run.version != definition.version],
    )


@router.put("/{template_key}", summary="Save a new version", response_model=SavedOut)
async def save(request: Request, key: Writer, template_key: Text, body: SaveIn) -> SavedOut | Response:
    """Checked as `notifier check` would; 422 lists every error with file and line. 409 where somebody was faster."""
    try:
        saved = await save_template(
            _database(request),
            body.draft(template_key),
            team_id=key.team_id,
            base=body.base,
            over=body.over,
            by=person(key),
        )
    except DefinitionErrors as error:
        return _refuse(error, template_key)
    remarks = _problems(saved.remarks, template_key)
    return SavedOut(version=saved.version, is_new=saved.is_new, remarks=remarks)


@router.post("/{template_key}/preview", summary="Show an unsaved template")
async def preview(request: Request, key: Reader, template_key: Text, body: PreviewIn) -> PreviewOut:
    """Rendered in a process with limits; nothing is kept."""
    looked = await _look(request, key, template_key, body)
    content = looked.content
    count = looked.count
    return PreviewOut(
        channel=looked.channel.value if looked.channel else None,
        locale=looked.locale,
        subject=content.subject if isinstance(content, EmailContent) else "",
        html=content.html if isinstance(content, EmailContent) else "",
        text=content.text if content else "",
        problem=looked.problem,
        parts=content.parts if isinstance(content, SmsContent) else None,
        encoding=content.encoding if isinstance(content, SmsContent) else None,
        units_left=count.units_left if count else None,
        errors=_problems(looked.errors, template_key),
        remarks=_problems(looked.remarks, template_key),
    )


@router.post(
    "/{template_key}/test", status_code=202, summary="Send an unsaved text to yourself", response_model=TestOut
)
async def test(request: Request, key: Sender, template_key: Text, body: PreviewIn) -> Response:
    """To the user the key stands for, marked, and counted nowhere. 20 within an hour. Wants an `Idempotency-Key`."""
    looked = await _look(request, key, template_key, body)
    content, channel = looked.content, looked.channel
    if content is None or channel is None:
        raise InputError("file", looked.problem or "cannot be rendered", "See the errors of its preview")
    if channel is Channel.SOCIAL:
        raise InputError("file", "a post cannot be sent to one person", "Look at its preview")

    async def work(tx: Tx) -> TestOut:
        by, team_id = person(key), key.team_id
        try:
            note = await send_test(tx, team_id=team_id, by=by, channel=channel, content=content, locale=looked.locale)
        except TooManyTests as error:
            raise Problem(429, str(error)) from error
        return TestOut(note=note)

    answer = await once(request, key, body, status=202, work=work)
    await request.app.state.bell.ring("notes")
    return answer


@router.get("/{template_key}/versions", summary="List versions")
async def list_versions(request: Request, key: Reader, template_key: Text) -> Listed[VersionOut]:
    """The newest first; always one page."""
    async with _database(request).transaction() as tx:
        found = await stored.list_versions(tx, key.team_id, "template", template_key)
    if not found:
        raise NotFound(f"there is no template {template_key!r}")
    return Listed(items=[VersionOut(**_version(line)) for line in found], next_cursor=None)


@router.get("/{template_key}/versions/{version}", summary="Get a version")
async def get_version(request: Request, key: Reader, template_key: Text, version: Id) -> VersionDetail:
    """Its texts, layouts among them, and its difference to the version before."""
    async with _database(request).transaction() as tx:
        one = await stored.find_version(tx, key.team_id, "template", template_key, version)
        lines = await stored.list_versions(tx, key.team_id, "template", template_key)
        before = max((line.version for line in lines if line.version < version), default=0)
        old = await stored.find_version(tx, key.team_id, "template", template_key, before) if before else None
    line = next(line for line in lines if line.version == version)
    difference = as_unified(compare_specs(old.spec if old else {}, one.spec))
    return VersionDetail(**_version(line), files=dict(one.spec.get("files", {})), difference=difference)


@router.post("/{template_key}/versions/{version}/restore", summary="Restore a version", response_model=SavedOut)
async def restore(
    request: Request, key: Writer, template_key: Text, version: Id, body: RestoreIn
) -> SavedOut | Response:
    """A new version equal to this one; 422 where today's check finds it wrong."""
    try:
        saved = await restore_template(
            _database(request), template_key, version, team_id=key.team_id, base=body.base, by=person(key)
        )
    except DefinitionErrors as error:
        return _refuse(error, template_key)
    return SavedOut(version=saved.version, is_new=saved.is_new, remarks=_problems(saved.remarks, template_key))


@router.post("/{template_key}/take-over", summary="Edit it here from now on")
async def take(request: Request, key: Writer, template_key: Text) -> SavedOut:
    """No file manages it any more: `notifier apply` leaves it alone, unless told `--take-back`."""
    async with _database(request).transaction() as tx:
        return SavedOut(version=await take_over(tx, template_key, team_id=key.team_id, by=person(key)), is_new=True)


@router.post("/{template_key}/copy", status_code=201, summary="Copy a template")
async def copy(request: Request, key: Writer, template_key: Text, body: CopyIn) -> SavedOut:
    """The same words under another key; 422 where there is one already."""
    async with _database(request).transaction() as tx:
        version = await copy_template(tx, template_key, to=body.to, team_id=key.team_id, by=person(key))
    return SavedOut(version=version, is_new=True)


@router.get("/{template_key}/export", summary="Export a template", response_class=Response)
async def export(request: Request, key: Reader, template_key: Text) -> Response:
    """A zip with its folder as `notifier check` reads it."""
    async with _database(request).transaction() as tx:
        _, template, _ = await _find(tx, key, request.app.state.catalogue, template_key)
    return Response(export_template(template), media_type="application/zip")


async def _look(request: Request, key: ApiKey, template_key: str, body: PreviewIn) -> Looked:
    async with _database(request).transaction() as tx:
        _, template, bank = await _find(tx, key, request.app.state.catalogue, template_key)
        found = await get_contact(tx, key.team_id, body.contact) if body.contact else None
    if body.contact and found is None:
        raise NotFound(f"there is no contact {body.contact!r}")
    sample = Sample(contact=found.contact if found else None, sparse=body.sparse)
    return await look_at(body.draft(template_key), layouts_of(template), bank, file=body.file, sample=sample)


async def _find(tx: Tx, key: ApiKey, catalogue: Catalogue, template_key: str) -> tuple[Definition, Template, Bank]:
    definition = await stored.find_latest(tx, key.team_id, "template", template_key)
    return definition, cast("Template", catalogue.read(definition)), await catalogue.bank(tx, key.team_id)


async def _used(tx: Tx, team_id: int, catalogue: Catalogue) -> dict[str, list[str]]:
    using = campaigns_using([campaign for _, campaign in await catalogue.campaigns(tx, team_id)])
    return {template: [campaign.key for campaign in campaigns] for template, campaigns in using.items()}


def _line(definition: Definition, template: Template, campaigns: list[str]) -> TemplateLine:
    return TemplateLine(
        key=definition.key,
        version=definition.version,
        title=dict(template.title.texts),
        purpose=template.purpose.value if template.purpose else None,
        channels={one.value: sorted(template.locales(one)) for one in Channel if template.locales(one)},
        campaigns=campaigns,
        file=definition.file,
    )


def _version(line: VersionLine) -> dict[str, object]:
    return {"version": line.version, "author": line.author, "file": line.file, "created_at": line.created_at}


def _problems(found: tuple[DefinitionError, ...], key: str) -> list[ProblemOut]:
    return [
        ProblemOut(
            file=one.place.file.removeprefix(f"templates/{key}/"),
            line=one.place.line,
            column=one.place.column,
            problem=one.problem,
            remedy=one.remedy,
        )
        for one in found
    ]


def _refuse(error: DefinitionErrors, key: str) -> Response:
    """422 with every error; `field` says file and line."""
    errors = [
        {
            "field": one.file + (f":{one.line}" if one.line else ""),
            "problem": one.problem + (f". {one.remedy}" if one.remedy else ""),
        }
        for one in _problems(error.errors, key)
    ]
    return problem_json(422, f"the template {key} is not right yet", errors=errors)


def _database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found
