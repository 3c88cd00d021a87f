"""Which column of a file is which field of a contact."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from notifier.domain.channel import Channel
from notifier.domain.errors import InputError
from notifier.planning.contact_import.options import MAX_COLUMNS

SKIPPED = "-"
FIELDS = ("external_id", "name", "email", "phone", "locale", "zone", "kind", "consent_date", "consent_source")
_KNOWN = {
    **{field: field for field in FIELDS},
    "id": "external_id",
    "customer_id": "external_id",
    "客户号": "external_id",
    "客户编号": "external_id",
    "员工号": "external_id",
    "姓名": "name",
    "e-mail": "email",
    "邮箱": "email",
    "电子邮箱": "email",
    "mobile": "phone",
    "手机": "phone",
    "手机号": "phone",
    "手机号码": "phone",
    "language": "locale",
    "语言": "locale",
    "timezone": "zone",
    "time_zone": "zone",
    "时区": "zone",
    "类型": "kind",
    "邮件同意": "consent_email",
    "短信同意": "consent_sms",
    "同意日期": "consent_date",
    "同意来源": "consent_source",
}
_OF = rf"({'|'.join(Channel)})(?:_([a-z0-9][a-z0-9_-]{{0,39}}))?"
_CONSENT = re.compile(rf"consent_{_OF}")
_DETAIL = re.compile(rf"consent_(date|source)_{_OF}")
_ATTRIBUTE = re.compile(r"[^\W_][\w .-]{0,59}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentColumn:
    """A column that says whether somebody agreed."""

    index: int
    title: str
    channel: Channel
    topic: str
    date_index: int | None = None  # of a column for this act alone; else that of the row counts
    source_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A file's columns by what they mean; indexes count from 0."""

    titles: tuple[str, ...]
    fields: Mapping[str, int]
    attributes: Mapping[str, int]
    consents: tuple[ConsentColumn, ...]


def read_layout(header: Sequence[str], mapping: Mapping[str, str]) -> Layout:
    """The meaning of a header line; `InputError` where it has none, or two columns claim the same.

    An explicit mapping wins over the well-known names; every other column is an attribute.
    """
    titles = read_titles(header)
    unknown = next((column for column in mapping if column not in titles), None)
    if unknown is not None:
        raise InputError("mapping", f"the file has no column `{unknown}`", f"It has {', '.join(titles)[:500]}.")
    fields: dict[str, int] = {}
    attributes: dict[str, int] = {}
    consents: list[ConsentColumn] = []
    details: dict[str, int] = {}
    for index, title in enumerate(titles):
        target = target_of(title, mapping)
        found = _CONSENT.fullmatch(target)
        if found:
            topic = found[2] or ""
            consents.append(ConsentColumn(index=index, title=title, channel=Channel(found[1]), topic=topic))
        elif _DETAIL.fullmatch(target):
            _claim(details, target, index, titles)
        elif target in FIELDS:
            _claim(fields, target, index, titles)
        elif target.startswith("attributes."):
            _claim(attributes, _attribute_name(target, title), index, titles)
        elif target != SKIPPED:
            remedy = f"Map it to one of {', '.join(FIELDS)}, consent_CHANNEL, attributes.NAME, or - to skip it."
            raise InputError(title, f"there is no field `{target}`", remedy)
    if "external_id" not in fields:
        remedy = "Name a column `external_id` (or `id`, `客户号`), or map one to it."
        raise InputError("header", "no column says who a row is about", remedy)
    return Layout(titles=titles, fields=fields, attributes=attributes, consents=_with_details(consents, details))


def read_titles(header: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns; `InputError` where no mapping could help: two alike, one empty, too many."""
    titles = tuple(title.strip() for title in header)
    if len(titles) > MAX_COLUMNS:
        raise InputError("header", f"{len(titles)} columns", f"At most {MAX_COLUMNS} can be read.")
    doubled = next((title for title in titles if titles.count(title) > 1), None)
    if doubled is not None:
        named = f"two columns are called `{doubled[:60]}`" if doubled else "a column has no name"
        raise InputError("header", named, "Give every column a name of its own.")
    if "" in titles:
        raise InputError("header", "a column has no name", "Give every column a name of its own.")
    return titles


def target_of(title: str, mapping: Mapping[str, str]) -> str:
    """What a column becomes: what the mapping says, what its name is known for, else an attribute."""
    return mapping.get(title) or _KNOWN.get(title.lower()) or _by_shape(title)


def consent_title(channel: str, topic: str) -> str:
    """The column of an act, "" where its topic cannot be a part of one; with `consent_date_…`, `consent_source_…`."""
    title = f"consent_{channel}_{topic}" if topic else f"consent_{channel}"
    return title if _CONSENT.fullmatch(title) else ""


def detail_title(detail: str, channel: str, topic: str) -> str:
    """The column of the `date` or `source` of one act."""
    return consent_title(channel, topic).replace("consent_", f"consent_{detail}_", 1)


def _with_details(consents: Sequence[ConsentColumn], details: dict[str, int]) -> tuple[ConsentColumn, ...]:
    found = tuple(
        replace(
            column,
            date_index=details.pop(detail_title("date", column.channel, column.topic), None),
            source_index=details.pop(detail_title("source", column.channel, column.topic), None),
        )
        for column in consents
    )
    for title in details:
        act = title.replace("_date_", "_").replace("_source_", "_")
        raise InputError(title, "tells of an act that no column names", f"Add a column `{act}`, or map this one to -.")
    return found


def _by_shape(title: str) -> str:
    plain = title.lower()
    return (
        plain
        if _CONSENT.fullmatch(plain) or _DETAIL.fullmatch(plain)
        else f"attributes.{title.removeprefix('attributes.')}"
    )


def _attribute_name(target: str, title: str) -> str:
    name = target.removeprefix("attributes.")
    if not is_attribute_name(name):
        remedy = (
            "Use up to 60 letters, digits, spaces, dots, dashes and underscores, or map the column to another name."
        )
        raise InputError(title[:60], "cannot be the name of an attribute", remedy)
    return name


def is_attribute_name(name: str) -> bool:
    """Whether an attribute may be called so."""
    return _ATTRIBUTE.fullmatch(name) is not None


def _claim(taken: dict[str, int], name: str, index: int, titles: Sequence[str]) -> None:
    if name in taken:
        both = f"`{titles[taken[name]]}` and `{titles[index]}` both say `{name}`"
        raise InputError("header", both, "Map one of them to - to skip it.")
    taken[name] = index
