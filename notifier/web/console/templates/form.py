"""What the editor's form holds, read as a draft; nothing is judged here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.datastructures import FormData

from notifier.domain.template import Bank
from notifier.planning.templates.draft import TemplateDraft
from notifier.rendering.scheme import Scheme
from notifier.web.values import BIGGEST

_FILE, _CONTACT = "file.", "contact:"
WIDTHS = ("laptop", "phone", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorForm:
    """The draft, and how the one who writes looks at it."""

    draft: TemplateDraft
    base: int
    over: int = 0
    open: str = ""
    sample: str = "example"
    width: str = WIDTHS[0]
    scheme: Scheme = Scheme.LIGHT

    @property
    def contact(self) -> str:
        """The external id of the contact whose values are shown; empty = the examples."""
        return self.sample.removeprefix(_CONTACT) if self.sample.startswith(_CONTACT) else ""


def read_form(form: FormData, key: str, bank: Bank) -> EditorForm:
    """The fields as typed; line ends as the files have them."""
    files = {name.removeprefix(_FILE): _text(form, name) for name in form if name.startswith(_FILE)}
    draft = TemplateDraft(
        key=key,
        title={locale: _text(form, f"title.{locale}").strip() for locale in bank.locales},
        subject={locale: _text(form, f"subject.{locale}").strip() for locale in bank.locales},
        meta=_text(form, "meta"),
        files=files,
    )
    scheme, width = _text(form, "scheme"), _text(form, "width")
    return EditorForm(
        draft=draft,
        base=_number(form, "base"),
        over=_number(form, "over"),
        open=_text(form, "open"),
        sample=_text(form, "sample") or "example",
        width=width if width in WIDTHS else WIDTHS[0],
        scheme=Scheme.DARK if scheme == Scheme.DARK else Scheme.LIGHT,
    )


def with_files_changed(given: EditorForm, form: FormData) -> EditorForm:
    """The same after a press on "add" or "remove": a file more, or one less."""
    files: Mapping[str, str] = given.draft.files
    if name := _text(form, "remove"):
        files = {one: text for one, text in files.items() if one != name}
    elif name := (_text(form, "add") and _text(form, "new_file").strip()[:80]):
        files = {**files, name: files.get(name, "")}
    else:
        return given
    return replace(given, draft=replace(given.draft, files=files), open=name if name in files else "")


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    # Browsers send line ends as two characters. None of them sends NUL or half a character.
    if not isinstance(value, str):
        return ""
    return value.replace("\r\n", "\n").replace("\x00", "").encode("utf-8", "replace").decode()


def _number(form: FormData, name: str) -> int:
    text = _text(form, name)
    return min(int(text[:20]), BIGGEST) if text.isascii() and text.isdecimal() else 0
