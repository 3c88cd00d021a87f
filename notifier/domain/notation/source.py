"""One definition as plain data, with the place of every value."""

from dataclasses import dataclass, field

from notifier.domain.errors import DefinitionError, Place

Trail = tuple[str | int, ...]
Mark = tuple[int, int]


@dataclass(slots=True, kw_only=True)
class Source:
    """Plain data (`str, int, float, bool, None, list, dict`) and where each value stands; collects the problems found."""

    file: str
    data: object = None
    marks: dict[Trail, Mark] = field(default_factory=dict)  # of values
    key_marks: dict[Trail, Mark] = field(default_factory=dict)  # of the keys before them
    errors: list[DefinitionError] = field(default_factory=list)
    localized: list[Trail] = field(default_factory=list)  # texts given per locale, held against the bank's locales

    def place(self, path: Trail, *, key: bool = False) -> Place:
        """Where a value (or its key) stands; the nearest known parent for what is not written."""
        marks = self.key_marks if key else self.marks
        if path in marks:
            return Place(file=self.file, line=marks[path][0], column=marks[path][1])
        return self.place(path[:-1]) if path else Place(file=self.file)

    def add(self, path: Trail, problem: str, remedy: str = "", *, key: bool = False) -> None:
        """Note a problem at a value or its key."""
        self.errors.append(DefinitionError(self.place(path, key=key), problem, remedy))
