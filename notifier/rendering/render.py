"""A template and one contact's values become content; the same code checks, previews and sends."""

import hashlib
from collections.abc import Mapping
from types import TracebackType

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError, UndefinedError
from markupsafe import escape

from notifier.domain.channel import Channel, Content, EmailContent, PostContent, SmsContent
from notifier.domain.errors import DefinitionError, RenderError
from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template
from notifier.rendering.cleaning import one_line, tidy
from notifier.rendering.context import RenderContext, optional_paths, template_values
from notifier.rendering.environment import TemplateEnvironment, printed
from notifier.rendering.html import HtmlShapes
from notifier.rendering.problems import Severity, place, sources
from notifier.rendering.slots import clean_around
from notifier.rendering.sms import count_parts, to_gsm7
from notifier.rendering.syntax import Syntax, check_syntax

RENDERER_VERSION = 1
"""Rises when the same template and values would give other content; stored beside each hash."""

MAX_EMAIL_BYTES = 500_000
MAX_SUBJECT_CHARACTERS = 300
MAX_SMS_PARTS = 10
MAX_POST_CHARACTERS = 5_000

_CLOSING = tuple("。！？；，、.!?;,")


class CompiledTemplate:
    """A template version ready to render; make it once with `compile_template`, keep it, share it between threads."""

    def __init__(self, template: Template, bank: Bank, syntax: Syntax) -> None:
        self.template, self.bank, self._syntax = template, bank, syntax
        self._offered = {channel: template.locales(channel) for channel in Channel}
        self._locales = {
            locale: _Files(template, bank, locale) for locale in frozenset().union(*self._offered.values())
        }

    def render(self, channel: Channel, locale: str, context: RenderContext) -> Content:
        """The content of one message, or `RenderError` naming the variable that is missing; never a half text."""
        said = self.say(channel, locale, template_values(context, locale, self.template, self.bank))
        return self.finish(channel, locale, said, context.purpose) if isinstance(said, str) else said

    def say(self, channel: Channel, locale: str, values: Mapping[str, object]) -> EmailContent | str:
        """An e-mail, or the body of an SMS or a post, from the values a template sees."""
        files = self._files(channel, locale)
        return files.email(values) if channel is Channel.EMAIL else files.body(channel, values)

    def finish(self, channel: Channel, locale: str, body: str, purpose: Purpose) -> SmsContent | PostContent:
        """An SMS or a post with what the bank adds, held against the limits."""
        return self._files(channel, locale).finish(channel, body, purpose)

    def reads(self, channel: Channel, locale: str) -> tuple[str, ...]:
        """The variables that the files of one text name, sorted: `contact.attributes.branch`, `greeting`."""
        starts = self._files(channel, locale).starts(channel)
        reached = {name for start in starts for name in self._syntax.reach(start)}
        return tuple(sorted({_variable(use.path) for name in reached for use in self._syntax.files[name].uses}))

    def locale_for(self, channel: Channel, wanted: str) -> str | None:
        """As `Template.locale_for`, without looking through the files again."""
        offered, default = self._offered[channel], self.bank.default_locale
        return next(
            (name for name in (wanted, self.template.fallback.get(wanted, ""), default) if name in offered), None
        )

    def _files(self, channel: Channel, locale: str) -> "_Files":
        if locale not in self._offered[channel]:
            raise RenderError(f"the template {self.template.key} has no {channel} text in {locale}")
        return self._locales[locale]


def compile_template(template: Template, bank: Bank) -> CompiledTemplate:
    """Checks the syntax and compiles every file once; `DefinitionError` with file, line, column and remedy."""
    syntax = check_syntax(template)
    for problem in syntax.problems:
        if problem.severity is Severity.ERROR:
            raise DefinitionError(problem.place, problem.text, problem.remedy)
    return CompiledTemplate(template, bank, syntax)


def content_hash(content: Content, links: Mapping[str, str] | None = None) -> bytes:
    """SHA-256 of the content, 32 bytes.

    Each URL in `links` counts as its name, so that a message rendered again years later, with
    other signed links, still agrees. Signature and suffix of an SMS are part of the content; a
    MIME message, its headers and its DKIM signature are not.
    """
    fields: tuple[str, ...]
    match content:
        case EmailContent():
            fields = ("email", content.subject, content.html, content.text)
        case SmsContent():
            fields = ("sms", content.text)
        case PostContent():
            fields = ("social", content.text)
    digest = hashlib.sha256()
    for text in fields:
        raw = _without_links(text, links or {}).encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


def _without_links(text: str, links: Mapping[str, str]) -> str:
    # The longest first: one link may begin like another.
    for name, url in sorted(links.items(), key=lambda item: -len(item[1])):
        if url:
            for spelled in {url, str(escape(url))}:
                text = text.replace(spelled, link_mark(name))
    return text


def link_mark(name: str) -> str:
    """Stands for a signed link in what is hashed."""
    return f"\ue000{name}\ue001"


class _Files:
    """The compiled files of one locale."""

    def __init__(self, template: Template, bank: Bank, locale: str) -> None:
        self._template, self._bank, self._locale = template, bank, locale
        optional = optional_paths(template)
        self._sources = sources(template)
        self._environment = TemplateEnvironment(self._sources, locale=locale, bank=bank, optional=optional)
        self._globals = dict(self._environment.globals)
        self._suffix = bank.sms_opt_out.get(locale, bank.default_locale)
        self._signature = bank.sms_signature.get(locale, bank.default_locale)
        self._shapes = HtmlShapes()
        names = [f"email.{locale}.html", f"email.{locale}.txt", f"sms.{locale}.txt", f"social.{locale}.txt"]
        subject = self._subject_name()
        self._compiled = {name: self._compile(name) for name in [*names, subject] if name in self._sources}

    def email(self, values: Mapping[str, object]) -> EmailContent:
        subject = one_line(clean_around(self._run(self._subject_name(), values)))
        if not subject or len(subject) > MAX_SUBJECT_CHARACTERS:
            raise RenderError(f"the subject is empty or longer than {MAX_SUBJECT_CHARACTERS} characters")
        text = tidy(self._run(f"email.{self._locale}.txt", values)) + "\n"
        content = EmailContent(subject=subject, html=self._html(values), text=text)
        # A character has at most 4 bytes; encoding every message only to measure it would cost more than rendering.
        if len(content.html) + len(text) > MAX_EMAIL_BYTES // 4 and _size(content) > MAX_EMAIL_BYTES:
            raise RenderError(f"the e-mail is larger than {MAX_EMAIL_BYTES // 1000} kB")
        return content

    def starts(self, channel: Channel) -> list[str]:
        """The files a text of this channel begins with."""
        name = f"{channel}.{self._locale}"
        return [f"{name}.html", f"{name}.txt", self._subject_name()] if channel is Channel.EMAIL else [f"{name}.txt"]

    def body(self, channel: Channel, values: Mapping[str, object]) -> str:
        """What the file of an SMS or a post says."""
        body = tidy(self._run(f"{channel}.{self._locale}.txt", values))
        return body.replace("\n\n", "\n") if channel is Channel.SMS else body

    def finish(self, channel: Channel, body: str, purpose: Purpose) -> SmsContent | PostContent:
        """The body with what the bank adds, held against the limits."""
        if channel is Channel.SMS:
            return self._sms(body, purpose)
        if not body or len(body) > MAX_POST_CHARACTERS:
            raise RenderError(f"the post is empty or longer than {MAX_POST_CHARACTERS} characters")
        return PostContent(text=body)

    def _sms(self, body: str, purpose: Purpose) -> SmsContent:
        if not body:
            raise RenderError("the SMS is empty")
        suffix = self._suffix if purpose is Purpose.MARKETING else ""
        blank = " " if suffix and (suffix[0].isascii() or not body.endswith(_CLOSING)) else ""
        text = to_gsm7(self._signature + body + blank + suffix)
        count = count_parts(text)
        if count.parts > MAX_SMS_PARTS:
            raise RenderError(f"the SMS has {count.parts} parts, at most {MAX_SMS_PARTS} are sent")
        return SmsContent(text=text, parts=count.parts, encoding=count.encoding)

    def _html(self, values: Mapping[str, object]) -> str:
        collected: list[str] = []
        token = printed.set(collected)
        try:
            shape = self._run(f"email.{self._locale}.html", values)
        finally:
            printed.reset(token)
        return self._shapes.fill(shape, collected)

    def _subject_name(self) -> str:
        own, declared = f"subject.{self._locale}", f"subject.{self._template.fallback.get(self._locale, '')}"
        return own if own in self._sources else declared

    def _compile(self, name: str) -> JinjaTemplate:
        try:
            return self._environment.get_template(name)
        except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:
            raise DefinitionError(place(self._template, name), "cannot be compiled", "Make it simpler") from error

    def _run(self, name: str, values: Mapping[str, object]) -> str:
        template = self._compiled.get(name)
        if template is None:
            raise RenderError(f"{name} is missing in the template {self._template.key}")
        pieces, size = [], 0
        try:
            for piece in template.root_render_func(template.new_context({**self._globals, **values}, shared=True)):
                pieces.append(piece)
                size += len(piece)
                if size > MAX_EMAIL_BYTES:
                    raise RenderError(f"the text is longer than {MAX_EMAIL_BYTES // 1000} kB")
        except UndefinedError as error:
            raise RenderError(f"{_where(error.__traceback__, name)}: {error.message}") from None
        except RenderError as error:
            raise RenderError(f"{_where(error.__traceback__, name)}: {error}") from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
            # Their words may hold a contact's data, so neither they nor their traceback travel on.
            raise RenderError(f"{name}: a value is of a kind the template does not expect") from None
        return "".join(pieces)


def _variable(path: str) -> str:
    """The value a template gets, of which `path` may name an item."""
    parts = path.split(".")
    return ".".join(parts[: 3 if parts[:2] == ["contact", "attributes"] else 2])


def _size(content: EmailContent) -> int:
    return len(content.html.encode()) + len(content.text.encode())


def _where(traceback: TracebackType | None, name: str) -> str:
    """`email.en.html line 3`: the innermost line of a template that was running."""
    where = name
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, JinjaTemplate):
            where = f"{template.name} line {template.get_corresponding_lineno(traceback.tb_lineno)}"
        traceback = traceback.tb_next
    return where
