"""What somebody typed into the editor, read as the template folder it stands for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.channel import Channel
from notifier.domain.errors import DefinitionError, Place
from notifier.domain.notation.node import Value
from notifier.domain.notation.source import Source, Trail
from notifier.domain.notation.template import read_template, write_template
from notifier.domain.purpose import Purpose
from notifier.domain.spec import Kind, Spec, spec_hash, to_spec
from notifier.domain.template import Template
from notifier.domain.text import Localized
from notifier.planning.definitions.folder import LAYOUTS, MAX_TEMPLATE_BYTES, TEMPLATE_FILE, Entry
from notifier.planning.definitions.yaml_file import MAX_BYTES, parse_yaml, write_yaml

MAX_FILES = 60
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}(\.[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2})?\.(html|txt|css|xml|md)")
_FIELDS = ("title", "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDraft:
    """A template as typed, unchecked: `meta` is its template.yaml without title and subject, `files` its own texts."""

    key: str
    title: Mapping[str, str]
    subject: Mapping[str, str]
    meta: str
    files: Mapping[str, str] = field(repr=False)


@dataclass(slots=True, kw_only=True)
class DraftSource(Source):
    """Places of a draft: title and subject stand in fields of their own, one per locale."""

    def place(self, path: Trail, *, key: bool = False) -> Place:
        """`templates/KEY/subject.en` for a field, else a line of template.yaml."""
        if path[:1] in {(name,) for name in _FIELDS}:
            folder = self.file.removesuffix(TEMPLATE_FILE)
            return Place(file=folder + ".".join(str(part) for part in path[:2]))
        return Source.place(self, path, key=key)


def read_draft(draft: TemplateDraft, layouts: Mapping[str, str]) -> tuple[Entry[Template] | None, DraftSource]:
    """The template it says, None where that cannot be told; all that is wrong by itself stands in the source."""
    parsed = parse_yaml(draft.meta if _says_something(draft.meta) else "{}", f"templates/{draft.key}/{TEMPLATE_FILE}")
    source = DraftSource(
        file=parsed.file,
        data=parsed.data,
        marks=parsed.marks,
        key_marks=parsed.key_marks,
        errors=parsed.errors,
    )
    _check_sizes(draft, source)
    if source.errors:
        return None, source
    if not isinstance(source.data, dict):
        source.add((), "must be a mapping of keys and values", "Write `purpose: service` and so on, one per line")
        return None, source
    for name in ("template", *_FIELDS):
        if name in source.data:
            source.errors.append(
                DefinitionError(
                    Source.place(source, (name,), key=True), f"`{name}` has a field of its own", "Remove it here"
                )
            )
    source.data = {"template": draft.key, **source.data, **_fields(draft)}
    found = read_template(Value(source, (), source.data), {**draft.files, **layouts})
    if source.errors:
        return None, source
    return entry_of(found, source), source


def entry_of(template: Template, source: Source, *, file: str = "") -> Entry[Template]:
    """A template among the definitions of a folder."""
    spec = to_spec(template)
    return Entry(
        kind=Kind.TEMPLATE,
        key=template.key,
        file=file,
        value=template,
        spec=spec,
        hash=spec_hash(spec),
        source=source,
    )


def draft_of(template: Template, locales: tuple[str, ...]) -> TemplateDraft:
    """What the editor shows of a version; read again without a change it gives an equal one."""
    return TemplateDraft(
        key=template.key,
        title=_by_locale(template.title, locales),
        subject=_by_locale(template.subject, locales),
        meta=_write_meta(template),
        files={name: text for name, text in template.files.items() if not name.startswith(f"{LAYOUTS}/")},
    )


def layouts_of(template: Template) -> dict[str, str]:
    """The shared layouts a version carries along; the editor leaves them as they are."""
    return {name: text for name, text in template.files.items() if name.startswith(f"{LAYOUTS}/")}


def write_folder_yaml(template: Template) -> str:
    """`template.yaml` as it stands in a folder, for git."""
    shape = write_template(template)
    order = ("template", "title", "purpose", "keep", "variables", "subject", "fallback")
    return _write({name: shape[name] for name in order if shape.get(name) and name not in _by_itself(template)})


def missing_files(files: Mapping[str, str], locales: tuple[str, ...]) -> list[str]:
    """The usual names a template does not have yet."""
    endings = {Channel.EMAIL: ("html", "txt"), Channel.SMS: ("txt",), Channel.SOCIAL: ("txt",)}
    usual = [f"{channel}.{locale}.{end}" for channel in Channel for locale in locales for end in endings[channel]]
    return [name for name in usual if name not in files]


def _fields(draft: TemplateDraft) -> Spec:
    """Title and subject as they would stand in the file: plain where they are the same in every locale."""
    found: Spec = {}
    for name, texts in (("title", draft.title), ("subject", draft.subject)):
        given = {locale: text for locale, text in texts.items() if text.strip()}
        if given:
            is_same = len(given) > 1 and len(given) == len(texts) and len({*given.values()}) == 1
            found[name] = next(iter(given.values())) if is_same else given
    return found


def _check_sizes(draft: TemplateDraft, source: DraftSource) -> None:
    folder = source.file.removesuffix(TEMPLATE_FILE)
    if len(draft.meta.encode()) > MAX_BYTES:
        source.add((), f"is larger than {MAX_BYTES:,} bytes", "Shorten it")
    if len(draft.files) > MAX_FILES:
        source.add((), f"has more than {MAX_FILES} files", "Take some out")
    for name, text in draft.files.items():
        place = Place(file=f"{folder}{name[:80]}")
        if not FILE_NAME.fullmatch(name):
            problem, remedy = "is no name for a file here", "Write one such as email.zh-CN.html or part-1.en.txt"
            source.errors.append(DefinitionError(place, problem, remedy))
        elif len(text.encode()) > MAX_TEMPLATE_BYTES:
            source.errors.append(DefinitionError(place, f"is larger than {MAX_TEMPLATE_BYTES:,} bytes", "Shorten it"))


def _says_something(meta: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in meta.splitlines())


def _by_locale(text: Localized, locales: tuple[str, ...]) -> dict[str, str]:
    """One field per locale; a text that is the same for all stands in each."""
    known = dict(text.texts)
    return {locale: known.pop(locale, "") or known.get("und", "") for locale in locales}


def _by_itself(template: Template) -> set[str]:
    """Keys that would say what is so anyway."""
    return {"keep"} if template.keep_content is (template.purpose is Purpose.EMERGENCY) else set()


def _write_meta(template: Template) -> str:
    shape = write_template(template)
    left_out = {"template", *_FIELDS, *_by_itself(template)}
    order = ("purpose", "keep", "variables", "fallback")
    return _write({name: shape[name] for name in order if shape.get(name) and name not in left_out})


def _write(shape: Spec) -> str:
    return write_yaml(shape) if shape else ""
