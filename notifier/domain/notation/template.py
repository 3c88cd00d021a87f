"""Template folders, read and written."""

import re
from collections.abc import Mapping

from notifier.domain.notation.bank import write_localized
from notifier.domain.notation.node import LOCALE, Value
from notifier.domain.purpose import Purpose
from notifier.domain.template import Template, Variable

REQUIRED = ("template", "title")
OPTIONAL = ("purpose", "variables", "subject", "fallback", "keep")
KEEP = ("content", "hash")
PATH = re.compile(
    r"inputs\.[a-z][a-z0-9_]*|contact\.(name|locale)|contact\.attributes\.[A-Za-z][A-Za-z0-9_]*"
    r"|(bank|links|survey|message)\.[a-z][a-z0-9_]*|greeting"
)


def read_template(root: Value, files: Mapping[str, str]) -> Template:
    """`templates/KEY/template.yaml` with the texts beside it and the layouts."""
    root.fields(REQUIRED, OPTIONAL)
    purpose = read_purpose(root.child("purpose"))
    keep = root.child("keep").text()
    if keep and keep not in KEEP:
        root.child("keep").fail(f"`keep` cannot be `{keep}`", f"Possible are: {', '.join(KEEP)}")
    return Template(
        key=root.child("template").key(),
        title=root.child("title").localized(),
        purpose=purpose,
        variables={str(item.trail[-1]): _read_variable(item) for item in root.child("variables").items()},
        subject=root.child("subject").localized(),
        files=dict(files),
        fallback=_read_fallback(root.child("fallback")),
        keep_content=keep == "content" if keep else purpose is Purpose.EMERGENCY,
    )


def read_purpose(value: Value) -> Purpose | None:
    """One of the four purposes; None where not written."""
    return value.choice(Purpose, Purpose.SERVICE) if value.given else None


def _read_variable(value: Value) -> Variable:
    path = str(value.trail[-1])
    if not PATH.fullmatch(path):
        value.fail(
            f"`{path}` is not a variable of templates",
            "Write `inputs.NAME`, `contact.name` or `contact.attributes.NAME`",
            key=True,
        )
    value.fields(["example"], ["optional"])
    example = value.child("example")
    return Variable(
        path=path,
        example=_read_example(example) if example.given else None,
        optional=value.child("optional").flag(default=False),
    )


def _read_example(value: Value) -> object:
    """A text, number, truth value or list; or one of these per locale."""
    if value.data is None:
        value.fail("`example` is empty", "Write what a reader would see there")
    if isinstance(value.data, dict) and value.data and all(LOCALE.fullmatch(name) for name in value.data):
        value.source.localized.append(value.trail)
    return value.data


def _read_fallback(value: Value) -> dict[str, str]:
    like = "a locale such as `zh-CN`"
    found = {}
    for item in value.items():
        if not LOCALE.fullmatch(str(item.trail[-1])):
            item.fail(f"{item.called} is not a locale", f"Write {like}", key=True)
        found[str(item.trail[-1])] = item.text(pattern=LOCALE, like=like)
    return found


def write_template(template: Template) -> dict[str, object]:
    """The content of `template.yaml` that gives back the same template with the same files."""
    found: dict[str, object] = {
        "template": template.key,
        "title": write_localized(template.title),
        "keep": "content" if template.keep_content else "hash",
        "variables": {path: _write_variable(variable) for path, variable in template.variables.items()},
        "fallback": dict(template.fallback),
    }
    if template.purpose:
        found["purpose"] = template.purpose.value
    if template.subject.texts:
        found["subject"] = write_localized(template.subject)
    return found


def _write_variable(variable: Variable) -> dict[str, object]:
    return {"example": variable.example, **({"optional": True} if variable.optional else {})}
