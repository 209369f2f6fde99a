"""Mutants: sources with one small mistake each, and a seeded sample of them.

Left alone, because no test should fail over them: docstrings, texts, logged messages, annotations,
decorators, ``__all__``, imports, what only type checkers see, ``strict=`` of a ``zip``, and the
class or text of an error that is raised.
"""

import ast
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# Their arguments may change places.
SYMMETRIC = {"min", "max", "minimum", "maximum", "equal", "array_equal", "hypot", "dot"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: of the file, from the root of the project.
        lines: first and last line of what was changed.
        where: qualified name of the function or class around it; "" for the module.
        offsets: where the text that was changed begins and ends, in bytes of the file in UTF-8.
        before, after: the text, and what stands there instead.
    """

    path: str
    lines: tuple[int, int]
    where: str
    offsets: tuple[int, int]
    before: str
    after: str

    @property
    def name(self) -> str:
        """What tells it from others: path, line, column in the file, and the change."""
        return f"{self.path}:{self.lines[0]}@{self.offsets[0]}: {self.before} -> {self.after}"

    def source(self, original: str) -> str:
        """Return the file's text with the change in it."""
        data, (begin, end) = original.encode(), self.offsets
        return (data[:begin] + self.after.encode() + data[end:]).decode()


def sample(root: Path, paths: Iterable[Path], *, count: int, seed: int) -> list[Mutant]:
    """Return ``count`` mutants on as many lines, each line that has any as likely as the others."""
    by_line: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for path in sorted(paths):
        for mutant in mutants_of(path.read_text("utf-8"), path.relative_to(root).as_posix()):
            by_line[mutant.path, mutant.lines[0]].append(mutant)
    draw = random.Random(seed)
    lines = draw.sample(sorted(by_line), min(count, len(by_line)))
    return [draw.choice(by_line[line]) for line in lines]


def mutants_of(text: str, path: str) -> list[Mutant]:
    """Return all mutants of a file."""
    return list(_Reader(text, path).read())


@dataclass(frozen=True)
class _Reader:
    text: str
    path: str

    def read(self) -> Iterator[Mutant]:
        yield from self.below(ast.parse(self.text), "")

    @cached_property
    def starts(self) -> list[int]:
        """The offset of each line, in bytes."""
        found = [0]
        for line in self.text.encode().splitlines(keepends=True):
            found.append(found[-1] + len(line))
        return found

    def below(self, node: ast.AST, where: str) -> Iterator[Mutant]:
        for child in _children(node):
            inner = where
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                inner = f"{where}.{child.name}".lstrip(".")
            for changed in _changes(child):
                if (mutant := self.mutant(child, changed, where)).before != mutant.after:
                    yield mutant
            yield from self.below(child, inner)

    def mutant(self, node: ast.AST, after: str, where: str) -> Mutant:
        first, last = node.lineno, node.end_lineno
        begin = self.starts[first - 1] + node.col_offset
        end = self.starts[last - 1] + node.end_col_offset
        before = self.text.encode()[begin:end].decode()
        return Mutant(self.path, (first, last), where, (begin, end), before, after)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node in which a mistake would be one."""
    skipped: set[int] = set()
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        skipped |= {id(part) for part in node.decorator_list}
    if isinstance(node, FUNCTIONS):
        skipped.add(id(node.returns))
    if isinstance(node, ast.arg | ast.AnnAssign):
        skipped.add(id(node.annotation))
    if isinstance(node, ast.Raise):
        skipped |= {id(node.exc), id(node.cause)}
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    for child in ast.iter_child_nodes(node):
        if id(child) not in skipped and not _left_alone(child):
            yield child


def _left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    if isinstance(node, ast.Expr):
        is_text = isinstance(node.value, ast.Constant)
        return is_text or ast.unparse(node).startswith(("logger.", "warnings.warn("))
    named = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    # Aliases of types look like arithmetic: ``Vector = Tensor | None``.
    return named and (node.targets[0].id == "__all__" or isinstance(node.value, ast.Subscript))


def _changes(node: ast.AST) -> Iterator[str]:
    """Yield what may stand in the place of a node."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            for other in COMPARISONS[type(op)]:
                yield _text(ast.Compare(left, [other()], [right]))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            yield _text(ast.BinOp(left, ARITHMETIC[type(op)](), right))
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield _text(operand)
        case ast.BoolOp(op=op, values=values):
            yield _text(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.Constant(value=bool() as value):
            yield repr(not value)
        case ast.Constant(value=int() | float() as value):
            yield f"({value + 1!r})"
            yield f"({value - 1!r})"
        case ast.Return(value=ast.expr() as value) if _text(value) != "None":
            yield "return None"
        case ast.Call(func=func, args=[first, second, *_]) if not _symmetric(func):
            if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
                yield ast.unparse(ast.Call(func, [second, first, *node.args[2:]], node.keywords))
    yield from _changes_of_a_statement(node)


def _changes_of_a_statement(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield "pass"
        case ast.AugAssign():
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield _text(ast.IfExp(test, orelse, body))


def _text(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if isinstance(node, ast.Name | ast.Constant | ast.Call) else f"({text})"


def _symmetric(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in SYMMETRIC
