"""The list of templates, and the editor: code beside what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from notifier.domain.channel import Channel, EmailContent
from notifier.domain.errors import DefinitionError, NotFound, ServiceError
from notifier.domain.template import Template
from notifier.planning.templates.draft import draft_of, layouts_of, missing_files
from notifier.planning.templates.look import Looked, Sample, known_variables, look_at, post_limits
from notifier.planning.templates.versions import FileDifference, campaigns_using
from notifier.rendering.render import MAX_SUBJECT_CHARACTERS
from notifier.rendering.scheme import Scheme, force_scheme, has_dark_rules
from notifier.store.audience import Fragment
from notifier.store.contacts import get_contact
from notifier.store.definitions import (
    Definition,
    find_latest,
    list_latest,
    list_newest_lines,
    list_open_runs_with,
)
from notifier.store.previews import find_preview, keep_preview
from notifier.store.views.samples import FIRST, LocaleSamples, pick_samples
from notifier.web.access.sessions import FormSender, LoggedIn, Visitor
from notifier.web.console.show import Page, open_page
from notifier.web.console.templates.form import EditorForm, read_form, with_files_changed
from notifier.web.security import MAIL_POLICY
from notifier.web.values import Text

router = APIRouter()
_ATTRIBUTE = "contact.attributes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an editor page says besides the form: what was done, what is wrong, what somebody else wrote."""

    done: str = ""
    problem: str = ""
    errors: Sequence[DefinitionError] = ()
    remarks: Sequence[DefinitionError] = ()
    newest: int = 0
    differences: Sequence[FileDifference] = field(default=())


NOTHING = Said()


@router.get("/templates")
async def show_templates(request: Request, visitor: LoggedIn) -> Response:
    """Every template in use."""
    async with open_page(request, visitor) as page:
        found = [(one, page.catalogue.read(one)) for one in await list_latest(page.tx, page.team_id, "template")]
        campaigns = [campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)]
        return page.show(
            "templates.html",
            templates=found,
            lines=await list_newest_lines(page.tx, page.team_id, "template"),
            used=campaigns_using(campaigns),
            channels=tuple(Channel),
        )


@router.get("/templates/{key}")
async def show_template(  # noqa: PLR0917
    request: Request, visitor: LoggedIn, key: Text, file: Text = "", done: Text = "", samples: bool = False
) -> Response:
    """The editor; `file` opens its tab, `samples` offers real contacts."""
    async with open_page(request, visitor) as page:
        definition, template = await find_template(page, key)
        draft = draft_of(template, page.bank.locales)
        form = EditorForm(draft=draft, base=definition.version, open=file)
        return await editor_page(page, definition, template, form, Said(done=done), samples=samples)


async def find_template(page: Page, key: str) -> tuple[Definition, Template]:
    """The newest version of a template."""
    definition = await find_latest(page.tx, page.team_id, "template", key)
    return definition, cast("Template", page.catalogue.read(definition))


async def editor_page(
    page: Page,
    definition: Definition,
    template: Template,
    form: EditorForm,
    said: Said = NOTHING,
    *,
    status: int = 200,
    samples: bool = False,
    preview: str = "",
) -> HTMLResponse:
    """The page with what was typed."""
    campaigns = [campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)]
    runs = await list_open_runs_with(page.tx, page.team_id, definition.key)
    lines = await list_newest_lines(page.tx, page.team_id, "template")
    names = sorted(form.draft.files, key=lambda name: order_of(name, page.bank.locales))
    locale = page.locale if page.locale in page.bank.locales else page.bank.default_locale
    return page.show(
        "template.html",
        status,
        edited=template,
        definition=definition,
        line=lines.get(definition.key),
        form=form,
        said=said,
        names=names,
        opened=form.open if form.open in {*names, "template.yaml"} else next(iter(names), "template.yaml"),
        missing=missing_files(form.draft.files, page.bank.locales),
        layouts=layouts_of(template),
        known=known_variables(template, page.bank, locale),
        used=campaigns_using(campaigns).get(definition.key, []),
        titles={campaign.key: page.say(campaign.title) for campaign in campaigns},
        older_runs=[run for run in runs if run.version != definition.version],
        current_runs=[run for run in runs if run.version == definition.version],
        is_editable=bool(not definition.file and page.visitor and page.visitor.may_act),
        people=await _samples(page, template) if samples else [],
        preview=preview,
        longest_subject=MAX_SUBJECT_CHARACTERS,
    )


def order_of(name: str, locales: Sequence[str]) -> tuple[int, int, str]:
    """E-mails first, then the other channels, then parts; the bank's first language first, HTML before text."""
    first, _, rest = name.partition(".")
    channels = [channel.value for channel in Channel]
    rank = channels.index(first) if first in channels else len(channels)
    locale = rest.partition(".")[0]
    return rank, locales.index(locale) if locale in locales else len(locales), name


async def _samples(page: Page, template: Template) -> list[LocaleSamples]:
    """Real contacts on whom a text shows its weak sides."""
    attributes = [path.removeprefix(_ATTRIBUTE) for path in template.variables if path.startswith(_ATTRIBUTE)]
    everybody = Fragment(f"c.team_id = ${FIRST}", (page.team_id,))
    default = page.bank.default_locale
    return await pick_samples(page.tx, everybody, default_locale=default, attributes=sorted(attributes))


@router.get("/templates/{key}/samples")
async def offer_samples(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """Real contacts to choose from, for the list of samples."""
    async with open_page(request, visitor) as page:
        _, template = await find_template(page, key)
        return page.show("part/template_samples.html", people=await _samples(page, template), chosen="")


@router.post("/templates/{key}/preview")
async def preview(request: Request, visitor: FormSender, key: Text) -> Response:
    """What the text typed so far says; nothing is kept. A part of the page for HTMX, else the whole page."""
    sent = await request.form()
    async with open_page(request, visitor) as page:
        definition, template = await find_template(page, key)
        form = with_files_changed(read_form(sent, key, page.bank), sent)
    shown = await look_and_render(request, visitor, form, template)
    if request.headers.get("hx-request"):
        return HTMLResponse(shown.part)
    async with open_page(request, visitor) as page:
        return await editor_page(page, definition, template, form, preview=shown.part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A look, and the part of the page that shows it."""

    looked: Looked
    part: str


async def look_and_render(request: Request, visitor: Visitor, form: EditorForm, template: Template) -> Rendered:
    """Renders what was typed, outside of any transaction: it takes half a second."""
    async with open_page(request, visitor) as page:
        sample = await read_sample(page, form)
        bank, accounts = page.bank, await page.catalogue.accounts(page.tx, page.team_id)
    looked = await look_at(form.draft, layouts_of(template), bank, file=form.open, sample=sample)
    values = await _mail_values(request, visitor, looked, form)
    if looked.content is not None and looked.channel is Channel.SOCIAL:
        values["limits"] = post_limits(looked.content.text, accounts)
    async with open_page(request, visitor) as page:
        values |= {"looked": looked, "form": form}
        return Rendered(looked=looked, part=page.render("part/template_preview.html", **values))


async def read_sample(page: Page, form: EditorForm) -> Sample:
    """With whose values the text is shown; `NotFound` for a contact there is not."""
    if not form.contact:
        return Sample(sparse=form.sample == "sparse")
    found = await get_contact(page.tx, page.team_id, form.contact)
    if found is None:
        raise NotFound("there is no such contact")
    return Sample(contact=found.contact)


async def _mail_values(request: Request, visitor: Visitor, looked: Looked, form: EditorForm) -> dict[str, Any]:
    if not isinstance(looked.content, EmailContent):
        return {"limits": []}
    html = looked.content.html
    values: dict[str, Any] = {"limits": [], "knows_dark": has_dark_rules(html), "mail": "", "mail_problem": ""}
    try:
        name = await keep_preview(request.app.state.bell.redis, visitor.user.id, html)
        values["mail"] = f"/templates/{form.draft.key}/mail/{name}?scheme={form.scheme}"
    except ServiceError as error:
        values["mail_problem"] = str(error)
    return values


@router.get("/templates/{key}/mail/{name}")
async def show_mail(
    request: Request, visitor: LoggedIn, key: Text, name: Text, scheme: Scheme = Scheme.LIGHT
) -> Response:
    """An unsaved mail alone, for a frame: no scripts, no forms, nothing from elsewhere."""
    found = await find_preview(request.app.state.bell.redis, visitor.user.id, name)
    if found is None:
        raise NotFound("this preview is gone: look again")
    headers = {"content-security-policy": MAIL_POLICY, "x-frame-options": "SAMEORIGIN"}
    shown = force_scheme(found, scheme).replace("<head>", '<head><base target="_blank">', 1)
    return HTMLResponse(shown, headers=headers)
