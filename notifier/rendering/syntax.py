"""Which Jinja a template may use: a list of what is allowed, checked on the syntax tree before anything runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from jinja2 import Environment, TemplateSyntaxError, nodes

from notifier.domain.template import Template
from notifier.rendering.filters import ALLOWED_FILTERS, ALLOWED_TESTS, LOOP_LIMIT
from notifier.rendering.problems import Problem, place, sources

MAX_SOURCE_BYTES = 200_000
MAX_DEPTH = 5  # of files drawing each other in
MAX_LOOPS = 2  # inside each other
MAX_JOINS = 100  # values joined by `~` or `+` in one file
MAX_STEPS = 300_000  # nodes evaluated in the worst case, loops and inclusions multiplied out

ROOTS = frozenset({"contact", "greeting", "inputs", "bank", "links", "survey", "message"})
_WHOLE = frozenset({"greeting", "survey"})  # may stand without a dot

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem,
    nodes.Filter, nodes.Test, nodes.If, nodes.For, nodes.Extends, nodes.Block, nodes.Include, nodes.Import,
    nodes.FromImport, nodes.Macro, nodes.Call, nodes.CallBlock, nodes.Assign, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv,
    nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple, nodes.Keyword,
)  # fmt: skip

_INSTEAD: dict[type[nodes.Node], tuple[str, str]] = {
    nodes.Mul: ("`*`", "Give the product as an input"),
    nodes.Pow: ("`**`", "Give the result as an input"),
    nodes.Mod: ("`%`", "For every second item write `is even`"),
    nodes.AssignBlock: ("`set` with a body", "Use a macro"),
    nodes.FilterBlock: ("`filter` blocks", "Put the filter on the value"),
    nodes.Dict: ("a dictionary", "Use separate values"),
    nodes.Slice: ("a slice", "Use the filters first, last or truncate"),
    nodes.NSRef: ("a namespace", "Use `set` outside the loop"),
    nodes.With: ("`with`", "Use `set`"),
    nodes.EvalContextModifier: ("`autoescape`", "HTML files always escape, text files never"),
}


@dataclass(frozen=True, slots=True)
class Use:
    """A variable as a file names it: `inputs.week` in line 3."""

    path: str
    line: int


@dataclass(slots=True)
class FileFacts:
    """What one file says: the variables it reads and the files it draws in."""

    uses: list[Use] = field(default_factory=list)
    draws: list[tuple[str, int, int]] = field(default_factory=list)  # name, line, times in the worst case
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Syntax:
    """The result for all files and subjects of a template."""

    problems: tuple[Problem, ...]
    files: Mapping[str, FileFacts]

    def reach(self, file: str) -> Iterator[str]:
        """The file and all it draws in, each once; the template must be free of problems."""
        seen, waiting = set[str](), [file]
        while waiting:
            name = waiting.pop()
            if name not in seen and name in self.files:
                seen.add(name)
                yield name
                waiting += [drawn for drawn, _, _ in self.files[name].draws]


def check_syntax(template: Template) -> Syntax:
    """Reads every file; bounded in time by the size of the sources, runs nothing of them."""
    problems: list[Problem] = []
    files: dict[str, FileFacts] = {}
    everything = sources(template)
    for name, source in everything.items():
        reader = _Reader(template, name, everything)
        reader.read(source)
        problems += reader.problems
        files[name] = reader.facts
    if not problems:
        problems += _check_reach(template, files)
    return Syntax(tuple(problems), files)


def _check_reach(template: Template, files: Mapping[str, FileFacts]) -> Iterator[Problem]:
    for name in files:
        where = place(template, name, 1)
        steps = _steps(name, files, MAX_DEPTH)
        if steps is None:
            yield Problem(place=where, text=f"draws in files more than {MAX_DEPTH} deep", remedy="Flatten the partials")
        elif steps > MAX_STEPS:
            yield Problem(place=where, text="too much work for one message", remedy="Use fewer loops inside each other")


def _steps(name: str, files: Mapping[str, FileFacts], depth: int) -> int | None:
    if depth < 0:
        return None
    total = files[name].steps
    for drawn, _, times in files[name].draws:
        below = _steps(drawn, files, depth - 1)
        if below is None:
            return None
        total += below * times
        if total > MAX_STEPS:
            return total
    return total


class _Reader:
    """Walks one file's tree and notes what is not allowed."""

    def __init__(self, template: Template, file: str, everything: Mapping[str, str]) -> None:
        self.template, self.file, self.everything = template, file, everything
        self.problems: list[Problem] = []
        self.facts = FileFacts()
        self._own: set[str] = set()  # names the file makes itself
        self._set: set[str] = set()  # those of them made by `set`
        self._joins = 0
        self._macros: dict[str, str] = {}  # macro or module → the file it is from
        self._sizes: dict[str, int] = {}  # macros of this file
        self._parent = ""
        self._times = 1
        self._loops = 0
        self._macro: nodes.Macro | None = None

    def read(self, source: str) -> None:
        if len(source.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
            return self._refuse(0, f"is larger than {MAX_SOURCE_BYTES // 1000} kB", "Shorten it")
        if "\ue000" in source or "\ue001" in source:
            return self._refuse(0, "holds the private characters U+E000 or U+E001", "Remove them")
        try:
            tree = Environment(autoescape=True).parse(source)
            self._learn_names(tree)
            self._visit(tree)
        except TemplateSyntaxError as error:
            self._refuse(error.lineno, (error.message or "cannot be read").rstrip("."), "See the Jinja syntax in docs")
        except RecursionError:
            self._refuse(0, "is nested too deep", "Flatten it")
        return None

    def _refuse(self, line: int | None, text: str, remedy: str, needle: str = "") -> None:
        where = place(self.template, self.file, line or 0, needle)  # Jinja gives some nodes no line
        self.problems.append(Problem(place=where, text=text, remedy=remedy))

    def _learn_names(self, tree: nodes.Template) -> None:
        self._own = {name.name for name in tree.find_all(nodes.Name) if name.ctx in {"store", "param"}}
        self._set = {name.name for one in tree.find_all(nodes.Assign) for name in one.target.find_all(nodes.Name)}
        self._set |= {one.target.name for one in tree.find_all(nodes.Assign) if isinstance(one.target, nodes.Name)}
        for macro in tree.find_all(nodes.Macro):
            self._sizes[macro.name] = _size(macro)
        for imported in tree.find_all(nodes.Import):
            self._macros[imported.target] = _literal(imported.template)
        for listed in tree.find_all(nodes.FromImport):
            for name in listed.names:
                self._macros[name if isinstance(name, str) else name[1]] = _literal(listed.template)
        self._parent = next((_literal(parent.template) for parent in tree.find_all(nodes.Extends)), "")
        for name in sorted((self._own | self._macros.keys() | self._sizes.keys()) & ROOTS):
            self._refuse(0, f"`{name}` is taken", "Choose another name", name)

    def _visit(self, node: nodes.Node) -> None:
        self.facts.steps += self._times
        if not isinstance(node, _ALLOWED):
            name, remedy = _INSTEAD.get(type(node), (f"`{type(node).__name__.lower()}`", "Use simpler means"))
            for kind, words in _INSTEAD.items():
                if isinstance(node, kind):
                    name, remedy = words
            return self._refuse(node.lineno, f"{name} is not allowed in templates", remedy)
        special = getattr(self, f"_visit_{type(node).__name__.lower()}", self._children)
        special(node)
        return None

    def _children(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self._visit(child)

    def _visit_name(self, node: nodes.Name) -> None:
        if node.ctx != "load":
            return None
        if node.name in self._own or (node.name == "loop" and self._loops):
            return None
        if node.name in _WHOLE:
            return self.facts.uses.append(Use(node.name, node.lineno))
        if node.name in ROOTS:
            return self._refuse(node.lineno, f"`{node.name}` is used as a whole", "Name one of its values", node.name)
        return self._refuse(
            node.lineno, f"`{node.name}` is unknown", f"Known are {', '.join(sorted(ROOTS))}", node.name
        )

    def _visit_getattr(self, node: nodes.Getattr) -> None:
        self._path(node, node.attr)

    def _visit_getitem(self, node: nodes.Getitem) -> None:
        if not isinstance(node.arg, nodes.Const) or not isinstance(node.arg.value, str | int):
            return self._refuse(node.lineno, "an item is chosen by a value", "Write the name or number itself", "[")
        return self._path(node, str(node.arg.value))

    def _path(self, node: nodes.Getattr | nodes.Getitem, last: str) -> None:
        if last.startswith("_"):
            return self._refuse(node.lineno, f"`{last}` is private", "Names do not begin with an underscore", last)
        names, start = [last], node.node
        while isinstance(start, nodes.Getattr | nodes.Getitem) and _key(start):
            if _key(start).startswith("_"):
                return self._visit(start)
            names.append(_key(start))
            start = start.node
        if not isinstance(start, nodes.Name) or start.name not in ROOTS:
            return self._visit(node.node)
        path = ".".join([start.name, *reversed(names)])
        if path == "contact.attributes":
            return self._refuse(node.lineno, f"`{path}` is used as a whole", "Name one of its values", path)
        return self.facts.uses.append(Use(path, node.lineno))

    def _visit_filter(self, node: nodes.Filter) -> None:
        if node.name not in ALLOWED_FILTERS:
            self._refuse(
                node.lineno,
                f"the filter `{node.name}` is not allowed",
                f"Allowed are {', '.join(sorted(ALLOWED_FILTERS))}",
                node.name,
            )
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(node.lineno, "`*` and `**` arguments are not allowed", "Write them out", "*")
        self._children(node)

    def _visit_test(self, node: nodes.Test) -> None:
        if node.name not in ALLOWED_TESTS:
            self._refuse(
                node.lineno,
                f"the test `{node.name}` is not allowed",
                f"Allowed are {', '.join(sorted(ALLOWED_TESTS))}",
                node.name,
            )
        self._children(node)

    def _visit_list(self, node: nodes.List | nodes.Tuple) -> None:
        if len(node.items) > LOOP_LIMIT:
            return self._refuse(node.lineno, f"a list of more than {LOOP_LIMIT} items", "Shorten it", "[")
        return self._children(node)

    _visit_tuple = _visit_list

    def _visit_for(self, node: nodes.For) -> None:
        if node.recursive or self._loops >= MAX_LOOPS:
            return self._refuse(node.lineno, f"loops stand more than {MAX_LOOPS} deep", "Take one out", "for")
        self._visit(node.iter)
        self._loops, self._times = self._loops + 1, self._times * LOOP_LIMIT
        for child in [node.target, *([node.test] if node.test else []), *node.body]:
            self._visit(child)
        self._loops, self._times = self._loops - 1, self._times // LOOP_LIMIT
        for child in node.else_:
            self._visit(child)
        return None

    def _visit_assign(self, node: nodes.Assign) -> None:
        # A value built from built values could double with every line.
        names = {name.name for name in _with_self(node.node) if isinstance(name, nodes.Name)}
        if names & self._set:
            return self._refuse(node.lineno, "`set` builds on another `set`", "Build it from the variables", "set")
        return self._children(node)

    def _visit_concat(self, node: nodes.Concat | nodes.Add) -> None:
        self._joins += len(node.nodes) if isinstance(node, nodes.Concat) else 2
        if self._joins > MAX_JOINS:
            return self._refuse(node.lineno, f"more than {MAX_JOINS} values are joined", "Print them one by one", "~")
        return self._children(node)

    _visit_add = _visit_concat

    def _visit_macro(self, node: nodes.Macro) -> None:
        if self._macro or self._loops or node.name.startswith("_"):
            return self._refuse(
                node.lineno, f"the macro `{node.name}` is misplaced", "Put it first, without _", "macro"
            )
        callers = [call for call in node.find_all(nodes.Call) if _called(call) == "caller"]
        looped = [call for loop in node.find_all(nodes.For) for call in loop.find_all(nodes.Call)]
        if len(callers) > 1 or looped:
            return self._refuse(node.lineno, "`caller()` stands more than once", "Use it once, outside loops", "macro")
        self._macro = node
        self._children(node)
        self._macro = None
        return None

    def _visit_output(self, node: nodes.Output) -> None:
        for child in node.nodes:
            self.facts.steps += self._times
            if isinstance(child, nodes.Call):
                self._call(child)
            else:
                self._visit(child)

    def _visit_callblock(self, node: nodes.CallBlock) -> None:
        self._call(node.call)
        for child in node.body:
            self._visit(child)

    def _visit_call(self, node: nodes.Call) -> None:
        self._refuse(node.lineno, "a call inside an expression", "Call macros on their own: {{ button(…) }}", "(")

    def _call(self, node: nodes.Call) -> None:
        name = _called(node)
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            return self._refuse(node.lineno, "`*` and `**` arguments are not allowed", "Write them out", "*")
        if name == "super" and self._parent and not self._macro:
            self.facts.draws.append((self._parent, node.lineno, self._times))
        elif name != "caller" or not self._macro:
            if self._macro or not (name in self._macros or name in self._sizes):
                return self._refuse(
                    node.lineno,
                    f"`{name or 'this'}` cannot be called" + (" inside a macro" if self._macro else ""),
                    "Only macros imported from _layouts or own partials, super() and caller() can",
                    name or "(",
                )
            self.facts.steps += self._sizes.get(name, 0) * self._times
            if name in self._macros:
                self.facts.draws.append((self._macros[name], node.lineno, self._times))
        for child in [*node.args, *node.kwargs]:
            self._visit(child)
        return None

    def _visit_extends(self, node: nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport) -> None:
        name = _literal(node.template)
        if not name:
            return self._refuse(
                node.lineno, "the file to draw in is not named", 'Write its name: "_layouts/email.html"'
            )
        if name not in self.template.files:
            return self._refuse(node.lineno, f"`{name}` does not exist", f"Known are {self._neighbours()}", name)
        if name.endswith(".html") != self.file.endswith(".html"):
            return self._refuse(node.lineno, "HTML draws in HTML only, text draws in text only", "Copy the part", name)
        return self.facts.draws.append((name, node.lineno, self._times))

    _visit_include = _visit_import = _visit_fromimport = _visit_extends

    def _neighbours(self) -> str:
        suffix = ".html" if self.file.endswith(".html") else ".txt"
        return ", ".join(sorted(name for name in self.template.files if name.endswith(suffix) and name != self.file))


def _key(node: nodes.Getattr | nodes.Getitem) -> str:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return str(node.arg.value) if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str | int) else ""


def _literal(node: nodes.Node) -> str:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else ""


def _called(node: nodes.Call) -> str:
    """`button` of `button()`, `ui` of `ui.button()`."""
    target = node.node
    if isinstance(target, nodes.Getattr) and not target.attr.startswith("_"):
        target = target.node
    return target.name if isinstance(target, nodes.Name) else ""


def _with_self(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    yield from node.find_all(nodes.Node)


def _size(node: nodes.Node) -> int:
    return 1 + sum(_size(child) for child in node.iter_child_nodes())
