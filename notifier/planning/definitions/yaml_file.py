"""Reads YAML 1.2 into plain data with the place of every value, and writes it."""

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from notifier.domain.errors import DefinitionError, Place
from notifier.domain.notation.source import Mark, Source, Trail

MAX_BYTES = 1_000_000
MAX_VALUES = 20_000
MAX_DEPTH = 40

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class _Unreadable(Exception):
    """Stops the walk through a document; the problem is already noted."""


def read_text(path: Path, shown: str, limit: int = MAX_BYTES) -> str | DefinitionError:
    """The text of a UTF-8 file, a byte order mark removed; or what is wrong with it."""
    place = Place(file=shown)
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        return DefinitionError(place, f"cannot be read: {error.strerror}", "Check the file and its permissions")
    if len(raw) > limit:
        return DefinitionError(place, f"is larger than {limit:,} bytes", "Split it into several files")
    if raw.startswith(_UTF16):
        return DefinitionError(place, "is UTF-16", "Save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        return DefinitionError(
            Place(file=shown, line=line, column=column), "is not UTF-8 from here on", "Save the file as UTF-8"
        )


def read_yaml(path: Path, shown: str) -> Source:
    """A YAML file; problems stand in `errors`, then `data` is None."""
    text = read_text(path, shown)
    if isinstance(text, DefinitionError):
        return Source(file=shown, errors=[text])
    return parse_yaml(text, shown)


def parse_yaml(text: str, shown: str) -> Source:
    """YAML text; problems stand in `errors`, then `data` is None."""
    source = Source(file=shown)
    try:
        node = _compose(source, text)
        if node is None:
            source.add((), "is empty", "Write the definition, or remove the file")
        else:
            source.data = _Walk(source).value(node, ())
    except _Unreadable:
        source.data = None
    except RecursionError:
        source.add((), "is nested too deeply", "Close the brackets that are open")
    return source


def write_yaml(shape: Mapping[str, object]) -> str:
    """Plain data as YAML that reads back as the same; keys in their order, lines of at most 110 characters."""
    out = io.StringIO()
    yaml = YAML(pure=True)
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.representer.ignore_aliases = lambda _: True
    yaml.dump(dict(shape), out)
    return out.getvalue()


def _compose(source: Source, text: str) -> Node | None:
    if text.startswith("%"):
        place = Place(file=source.file, line=1, column=1)
        source.errors.append(DefinitionError(place, "starts with a directive", "Remove the line that starts with %"))
        raise _Unreadable
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except ReaderError as error:
        line, column = _line_column(text, int(error.position))
        problem = "contains a control character"
        source.errors.append(DefinitionError(Place(file=source.file, line=line, column=column), problem, "Remove it"))
        raise _Unreadable from error
    except MarkedYAMLError as error:
        source.errors.append(_syntax_error(source.file, text, error))
        raise _Unreadable from error
    except (YAMLError, ValueError) as error:
        source.add((), "is not valid YAML", "Check quotes, brackets and indentation")
        raise _Unreadable from error
    return node


def _line_column(text: str, position: int) -> Mark:
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def _syntax_error(file: str, text: str, error: MarkedYAMLError) -> DefinitionError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    lines = text.split("\n")
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    problem = str(error.problem or error.context or "syntax error")
    remedy = "Check quotes, brackets and indentation on this line and the one before"
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in problem:
        problem, remedy = "a tab indents this line", "Use spaces"
    elif "another document" in problem:
        problem, remedy = "a second document starts here", "Keep one definition per file and remove ---"
    elif "mapping values are not allowed" in problem:
        problem, remedy = "a colon stands where none may", "Put quotes around a text that contains a colon"
    elif "undefined alias" in problem:
        problem, remedy = (
            "an alias (*) stands here without its anchor (&)",
            "Put quotes around a text that starts with *",
        )
    return DefinitionError(Place(file=file, line=line, column=column), problem, remedy)


class _Walk:
    """Turns composed nodes into plain data and notes the place of each."""

    def __init__(self, source: Source) -> None:
        self.source, self.seen = source, 0

    def value(self, node: Node, path: Trail) -> object:
        self.source.marks[path] = _mark(node)
        self.seen += 1
        if self.seen > MAX_VALUES or len(path) > MAX_DEPTH:
            self.source.add(path, "is too large or nested too deeply", "Split the definition")
            raise _Unreadable
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Trail) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line, column = _mark(key_node)
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            at = (*path, str(key))
            if key is None or not (str(key_node.tag) in _TEXT_TAGS or key_node.style):
                written = f"`{key}`" if isinstance(key, str) else "a list or mapping"
                remedy = f'Put quotes around it: "{key}"' if isinstance(key, str) else "Name the value with a text"
                self._fail(line, column, f"{written} is used as a key and is no text", remedy)
            elif key in found:
                first = self.source.key_marks[at][0]
                self._fail(line, column, f"`{key}` stands twice, first on line {first}", "Remove one of the two")
            else:
                self.source.key_marks[at] = (line, column)
                found[key] = self.value(value_node, at)
        return found

    def _fail(self, line: int, column: int, problem: str, remedy: str) -> None:
        place = Place(file=self.source.file, line=line, column=column)
        self.source.errors.append(DefinitionError(place, problem, remedy))

    def _scalar(self, node: Node, path: Trail) -> object:
        tag, text = str(node.tag), str(node.value)
        if tag not in _READ:
            self.source.add(path, f"the tag {tag} is not understood", "Remove the tag that starts with !")
            return None
        return _READ[tag](text)


def _mark(node: Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _read_bool(text: str) -> bool | str:
    return text.lower() == "true" if text.lower() in {"true", "false"} else text


def _read_int(text: str) -> int | str:
    if re.fullmatch(r"[-+]?(0|[1-9][0-9_]{0,17})", text):
        return int(text.replace("_", ""))
    return text  # 007, 0x1f: nobody means a number by it here


def _read_float(text: str) -> float | str:
    if re.fullmatch(r"[-+]?[0-9]{1,17}\.[0-9]{0,17}", text):
        return float(text)
    return text


_YAML = "tag:yaml.org,2002:"
_TEXT_TAGS = {_YAML + "str", _YAML + "timestamp", _YAML + "merge", _YAML + "value"}
_READ: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(_TEXT_TAGS, str),
    _YAML + "null": lambda _: None,
    _YAML + "bool": _read_bool,
    _YAML + "int": _read_int,
    _YAML + "float": _read_float,
}
