"""Finds what is wrong with a template before anybody gets it."""

import html
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from notifier.domain.channel import Channel, Content, EmailContent, SmsContent
from notifier.domain.errors import DefinitionError, Place, RenderError
from notifier.domain.notation.bank import in_domains
from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template
from notifier.rendering.context import BANK_FACTS, CONTACT_FACTS, LINKS, MESSAGE_FACTS, SURVEY_FACTS
from notifier.rendering.examples import example_context
from notifier.rendering.problems import Problem, Severity, place, sources
from notifier.rendering.render import CompiledTemplate
from notifier.rendering.sms import count_parts
from notifier.rendering.syntax import Syntax, check_syntax

MAX_SMS_PARTS_ADVISED = 2

_GIVEN = {
    f"{root}.{name}"
    for root, names in (
        ("bank", BANK_FACTS),
        ("contact", CONTACT_FACTS),
        ("links", LINKS),
        ("message", MESSAGE_FACTS),
        ("survey", SURVEY_FACTS),
    )
    for name in names
} | {"greeting", "survey"}
_DECLARABLE = ("inputs.", "contact.attributes.", "contact.name", "survey.")
_OWN_MARKUP = re.compile(r"<\s*(script|link|iframe|object|embed|base|form)\b|@import\b|\bon[a-z]+\s*=", re.IGNORECASE)
_LINK = re.compile(r"""<a\b[^>]*\bhref\s*=\s*["'](https?:[^"']+)""", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"'（）【】，。；、]+", re.IGNORECASE)
_PICTURE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=", re.IGNORECASE)
_RUNNING = re.compile(r"(\S+) line (\d+): ")  # how a `RenderError` begins that knows where it was
_OPEN_HTTP = re.compile(r"""(?:src|href)\s*=\s*["']http://""", re.IGNORECASE)


def check_template(template: Template, bank: Bank) -> list[Problem]:
    """Every problem of a template, errors first; renders all its texts with the examples.

    Runs the template in this process: use `bounded.check_in_subprocess` for one nobody has seen yet.
    """
    syntax = check_syntax(template)
    problems = list(syntax.problems)
    if not problems:
        problems += _check_files(template)
        problems += _check_markup(template)
        problems += _check_variables(template, syntax)
        problems += _check_unsubscribe(template, syntax)
        problems += _check_rendering(template, bank, syntax)
    distinct = dict.fromkeys(problems)
    return sorted(distinct, key=lambda problem: problem.severity is Severity.REMARK)


def _check_files(template: Template) -> Iterator[Problem]:
    if not any(template.locales(channel) for channel in Channel):
        yield Problem(
            place=place(template, "template.yaml"), text="has no text", remedy="Add a file such as sms.zh-CN.txt"
        )
    for locale in sorted(template.locales(Channel.EMAIL)):
        if f"email.{locale}.txt" not in template.files:
            yield Problem(
                place=place(template, f"email.{locale}.html"),
                text="has no plain text beside it",
                remedy=f"Add email.{locale}.txt",
            )
        if not {locale, template.fallback.get(locale)} & template.subject.texts.keys():
            yield Problem(
                place=place(template, "template.yaml"),
                text=f"has no subject in {locale}",
                remedy=f"Add it under subject: {{{locale}: …}}",
            )
    for name in sorted(template.files):
        beside = name.removesuffix(".txt") + ".html"
        if name.startswith("email.") and name.endswith(".txt") and beside not in template.files:
            yield Problem(place=place(template, name), text="has no HTML beside it", remedy=f"Add {beside}")


def _check_markup(template: Template) -> Iterator[Problem]:
    for name, source in template.files.items():
        for number, line in enumerate(source.split("\n") if name.endswith(".html") else (), start=1):
            for found, remedy in (
                (_OWN_MARKUP.search(line), "Mail programs drop or distrust it; write styles into <style>"),
                (_OPEN_HTTP.search(line), "Use https"),
            ):
                if found:
                    yield Problem(
                        place=place(template, name, number, found[0]), text=f"`{found[0]}` in an e-mail", remedy=remedy
                    )


def _check_variables(template: Template, syntax: Syntax) -> Iterator[Problem]:
    used = set()
    for file in _reached(template, syntax):
        for use in syntax.files[file].uses:
            used.add(use.path)
            declared = any(use.path == path or use.path.startswith(f"{path}.") for path in template.variables)
            if not declared and use.path not in _GIVEN:
                yield _undeclared(template, file, use.path, use.line)
    for path in sorted(template.variables):
        where = place(template, "template.yaml")
        if not path.startswith(_DECLARABLE):
            yield Problem(
                place=where, text=f"`{path}` cannot be declared", remedy="Only inputs.* and contact.attributes.* are"
            )
        elif path not in used and not any(name.startswith(f"{path}.") for name in used):
            yield Problem(place=where, text=f"`{path}` is declared but never used", remedy="Use it or take it out")


def _undeclared(template: Template, file: str, path: str, line: int) -> Problem:
    root = path.partition(".")[0]
    if path.startswith(("inputs.", "contact.attributes.")):
        text, remedy = f"`{path}` is not declared", f"Add `{path}: {{example: …}}` under variables"
    else:
        known = sorted(name for name in _GIVEN if name.startswith(root))
        text, remedy = f"`{path}` does not exist", f"Known are {', '.join(known)}"
    return Problem(place=place(template, file, line, path), text=text, remedy=remedy)


def _reached(template: Template, syntax: Syntax) -> list[str]:
    starts = [name for name in sources(template) if not name.startswith("_layouts/")]
    return sorted({reached for name in starts for reached in syntax.reach(name)})


def _check_unsubscribe(template: Template, syntax: Syntax) -> Iterator[Problem]:
    if template.purpose is not Purpose.MARKETING:
        return
    for name in sorted(template.files):
        if not name.startswith("email.") or not name.endswith((".html", ".txt")):
            continue
        uses = {use.path for reached in syntax.reach(name) for use in syntax.files[reached].uses}
        if "links.unsubscribe" not in uses:
            yield Problem(
                place=place(template, name),
                text="is marketing without an unsubscribe link",
                remedy="Print {{ links.unsubscribe }} or extend the layout",
            )


def _check_rendering(template: Template, bank: Bank, syntax: Syntax) -> Iterator[Problem]:
    try:
        compiled = CompiledTemplate(template, bank, syntax)
    except DefinitionError as error:
        yield Problem(place=error.place, text=error.problem, remedy=error.remedy)
        return
    for channel in Channel:
        for locale in sorted(template.locales(channel)):
            for sparse in (False, True):
                yield from _check_one(compiled, channel, locale, sparse=sparse)


def _check_one(compiled: CompiledTemplate, channel: Channel, locale: str, *, sparse: bool) -> Iterator[Problem]:
    template = compiled.template
    where = place(template, f"{channel}.{locale}.{'html' if channel is Channel.EMAIL else 'txt'}")
    context = example_context(template, compiled.bank, locale, sparse=sparse)
    case = "without a name and the optional variables" if sparse else "with the examples"
    try:
        content = compiled.render(channel, locale, context)
    except RenderError as error:
        at = _RUNNING.match(str(error))
        yield Problem(
            place=place(template, at[1], int(at[2])) if at else where,
            text=f"cannot be rendered {case}: {error}",
            remedy="Ask with `if` first or give a default" if sparse else "Correct the example or the text",
        )
        return
    if not sparse:
        yield from _advise(content, where, compiled.bank)
    if isinstance(content, SmsContent) and content.parts > MAX_SMS_PARTS_ADVISED and not sparse:
        count = count_parts(content.text)
        yield Problem(
            place=where,
            text=f"takes {count.parts} parts ({count.characters} characters, {count.encoding}) with the examples",
            remedy=f"At most {MAX_SMS_PARTS_ADVISED} are advised",
            severity=Severity.REMARK,
        )


def _advise(content: Content, where: Place, bank: Bank) -> Iterator[Problem]:
    """What readers would stumble over: a picture without words, a link to somebody else's site."""
    text = content.html if isinstance(content, EmailContent) else content.text
    addresses = _LINK.findall(text) if isinstance(content, EmailContent) else _ADDRESS.findall(text)
    for address in dict.fromkeys(html.unescape(address) for address in addresses):
        if not in_domains(address, bank.link_domains):
            yield Problem(
                place=where,
                text=f"links to {_host(address)}, which is not among the bank's link domains",
                remedy=f"Link to {', '.join(bank.link_domains)}, or add the domain in bank.yaml",
                severity=Severity.REMARK,
            )
    if isinstance(content, EmailContent):
        for picture in dict.fromkeys(_PICTURE.findall(content.html)):
            if not _ALT.search(picture):
                yield Problem(
                    place=where,
                    text=f"has a picture without words: `{picture[:60]}`",
                    remedy='Write alt="…" for who cannot see it, alt="" where it only decorates',
                    severity=Severity.REMARK,
                )


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or "nowhere"
    except ValueError:
        return "nowhere"
