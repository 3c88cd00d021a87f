"""Reads a folder of definitions: `campaigns/` and `templates/`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from notifier.domain.account import Account
from notifier.domain.campaign import Campaign
from notifier.domain.errors import DefinitionError, DefinitionErrors, Place
from notifier.domain.notation.bank import read_account, read_bank
from notifier.domain.notation.campaign import read_campaign
from notifier.domain.notation.node import Value
from notifier.domain.notation.segment import read_segment
from notifier.domain.notation.source import Source
from notifier.domain.notation.survey import read_survey
from notifier.domain.notation.template import read_template
from notifier.domain.segment import Segment
from notifier.domain.spec import BANK_KEY, Definition, Kind, Spec, spec_hash, to_spec
from notifier.domain.survey import Survey
from notifier.domain.template import Bank, Template
from notifier.planning.definitions.yaml_file import read_text, read_yaml

TEMPLATE_FILE = "template.yaml"
LAYOUTS = "_layouts"
MAX_TEMPLATE_BYTES = 300_000
TEXT_SUFFIXES = (".html", ".txt", ".css", ".xml", ".md")

_T = TypeVar("_T", bound=Definition)
_T_co = TypeVar("_T_co", bound=Definition, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[_T_co]):
    """One definition: what it says, how it is stored, where it was written."""

    kind: Kind
    key: str
    file: str  # below the folder, with forward slashes; a template's is its template.yaml
    value: _T_co
    spec: Spec = field(repr=False)
    hash: bytes = field(repr=False)
    source: Source = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """Everything a folder defines, by key."""

    root: Path
    bank: Entry[Bank]
    accounts: Mapping[str, Entry[Account]]
    surveys: Mapping[str, Entry[Survey]]
    templates: Mapping[str, Entry[Template]]
    campaigns: Mapping[str, Entry[Campaign]]
    segments: Mapping[str, Entry[Segment]] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry[Definition]]:
        """All entries; what others refer to comes first."""
        yield self.bank
        for entries in (self.accounts, self.surveys, self.templates, self.campaigns, self.segments):
            yield from entries.values()


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was readable, and all that was not."""

    root: Path
    bank: Entry[Bank] | None = None
    accounts: dict[str, Entry[Account]] = field(default_factory=dict)
    surveys: dict[str, Entry[Survey]] = field(default_factory=dict)
    templates: dict[str, Entry[Template]] = field(default_factory=dict)
    campaigns: dict[str, Entry[Campaign]] = field(default_factory=dict)
    segments: dict[str, Entry[Segment]] = field(default_factory=dict)
    errors: list[DefinitionError] = field(default_factory=list)
    broken: set[tuple[Kind, str]] = field(default_factory=set)  # written, but with errors of their own

    def definitions(self) -> Definitions | None:
        """The whole, unless the bank is missing."""
        if self.bank is None:
            return None
        return Definitions(
            root=self.root,
            bank=self.bank,
            accounts=self.accounts,
            surveys=self.surveys,
            templates=self.templates,
            campaigns=self.campaigns,
            segments=self.segments,
        )


def load_definitions(root: Path) -> Definitions:
    """What the folder defines, each file right in itself; `DefinitionErrors` with every problem found.

    References between files and the words of templates are `check.check_folder`'s.
    """
    reading = read_folder(root)
    found = reading.definitions()
    if reading.errors or found is None:
        raise DefinitionErrors(reading.errors)
    return found


def read_folder(root: Path) -> Reading:
    """What the folder defines as far as it can be read, with every problem found."""
    reading = Reading(root=root)
    campaigns = root / "campaigns"
    if not campaigns.is_dir():
        problem = DefinitionError(
            Place(file=str(root)), "has no folder `campaigns`", "Run `notifier init` to begin with the starter pack"
        )
        reading.errors.append(problem)
        return reading
    _read_bank_file(reading, campaigns / "bank.yaml")
    for path in sorted(path for path in campaigns.rglob("*") if path.is_file()):
        _read_campaigns_file(reading, path)
    _read_templates(reading, root / "templates")
    return reading


def _read_bank_file(reading: Reading, path: Path) -> None:
    if not path.is_file():
        place = Place(file=_shown(reading, path))
        reading.errors.append(DefinitionError(place, "is missing", "Copy it from the starter pack: `notifier init`"))
        return
    into: dict[str, Entry[Bank]] = {}
    _read_file(reading, path, Kind.BANK, read_bank, into)
    reading.bank = into.get(BANK_KEY)


def _read_campaigns_file(reading: Reading, path: Path) -> None:
    below = path.relative_to(reading.root / "campaigns").parts
    if below == ("bank.yaml",) or any(part.startswith(".") for part in below):
        return
    if path.suffix == ".yml":
        place = Place(file=_shown(reading, path))
        reading.errors.append(DefinitionError(place, "is not read", f"Rename it to {path.stem}.yaml"))
    elif path.suffix == ".yaml":
        match below[0] if len(below) > 1 else "":
            case "accounts":
                _read_file(reading, path, Kind.ACCOUNT, read_account, reading.accounts)
            case "surveys":
                _read_file(reading, path, Kind.SURVEY, read_survey, reading.surveys)
            case "segments":
                _read_file(reading, path, Kind.SEGMENT, read_segment, reading.segments)
            case _:
                _read_file(reading, path, Kind.CAMPAIGN, read_campaign, reading.campaigns)


def _read_file(
    reading: Reading, path: Path, kind: Kind, read: Callable[[Value], _T], into: dict[str, Entry[_T]]
) -> None:
    """Adds one entry, or its problems."""
    source = read_yaml(path, _shown(reading, path))
    if source.data is None:
        reading.errors += source.errors or [
            DefinitionError(Place(file=source.file), "is empty", "Write the definition, or remove the file")
        ]
        return
    found = read(Value(source, (), source.data))
    key = _key_of(kind, source)
    if key in into:
        source.add((kind.value,), f"the {kind} `{key}` is defined in {into[key].file} already", "Give it another key")
    if source.errors:
        reading.errors += source.errors
        reading.broken.add((kind, key))
        return
    spec = to_spec(found)
    into[key] = Entry(kind=kind, key=key, file=source.file, value=found, spec=spec, hash=spec_hash(spec), source=source)


def _key_of(kind: Kind, source: Source) -> str:
    if kind is Kind.BANK:
        return BANK_KEY
    return str(source.data.get(kind.value, "")) if isinstance(source.data, dict) else ""


def _read_templates(reading: Reading, folder: Path) -> None:
    if not folder.is_dir():
        return
    layouts = {f"{LAYOUTS}/{name}": text for name, text in _read_texts(reading, folder / LAYOUTS).items()}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != LAYOUTS and not path.name.startswith("."):
            _read_template_folder(reading, path, layouts)


def _read_template_folder(reading: Reading, path: Path, layouts: Mapping[str, str]) -> None:
    if not (path / TEMPLATE_FILE).is_file():
        place = Place(file=_shown(reading, path))
        reading.errors.append(DefinitionError(place, f"has no {TEMPLATE_FILE}", "Write it, or remove the folder"))
        reading.broken.add((Kind.TEMPLATE, path.name))
        return
    before = len(reading.errors)
    files = {**_read_texts(reading, path), **layouts}
    if len(reading.errors) > before:
        reading.broken.add((Kind.TEMPLATE, path.name))
    read = partial(_read_named_template, files=files, name=path.name)
    _read_file(reading, path / TEMPLATE_FILE, Kind.TEMPLATE, read, reading.templates)


def _read_named_template(root: Value, *, files: Mapping[str, str], name: str) -> Template:
    found = read_template(root, files)
    if found.key and found.key != name:
        root.child("template").fail(f"the template `{found.key}` stands in the folder `{name}`", "Give both one name")
    return found


def _read_texts(reading: Reading, folder: Path) -> dict[str, str]:
    """The text files of one folder by name; other files are left out."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and path.suffix in TEXT_SUFFIXES:
            text = read_text(path, _shown(reading, path), MAX_TEMPLATE_BYTES)
            if isinstance(text, DefinitionError):
                reading.errors.append(text)
            else:
                found[path.name] = text.replace("\r\n", "\n")
    return found


def _shown(reading: Reading, path: Path) -> str:
    return path.relative_to(reading.root).as_posix()
