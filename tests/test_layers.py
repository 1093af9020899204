"""Who may import whom, and how long files and functions may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skgd"
FILES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}

# From the top to the bottom.  A folder, or a module beside the folders, may import from the floors below its own.
FLOORS = [
    {"__main__"},
    {"__init__", "batches", "dask", "onnx"},
    {"estimators"},
    {"prediction"},  # beside streaming, but for one thing: `fold` asks what `partial_fit` knows of the columns
    {"streaming"},
    {"training"},
    {"rounding", "solvers"},
    {"models"},
    {"objective"},
    {"data", "fit_cache"},
    {"losses"},
    {"penalties"},
    {"coordinates", "monitoring", "options", "compiled", "constants", "_version"},
]
NUMBA = {"numba", "llvmlite"}

LINES = {"estimators": 600}  # of a file, docstrings included
MOST_LINES = 300
COMPILED = {"kernel", "linked", "struct", "separable"}  # decorators of what Numba compiles: functions, and classes with methods
MOST_PARAMETERS, MOST_PARAMETERS_COMPILED = 8, 10  # of a function, beside self
BODY = 60  # lines of a function without its docstring


def room(path: Path) -> str:
    """The folder, or the module beside the folders, that a file belongs to."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


def imported(path: Path, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and full names of all modules that a file imports, in functions and for type checking, too."""
    package = ("skgd", *path.parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *(node.module.split(".") if node.module else ())))
            if module == "skgd":  # from . import name: a module, or what __init__ holds
                yield from ((node.lineno, f"skgd.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def rooms_of(names: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines and rooms of what is imported from this package."""
    known = {room(path) for path in FILES}
    for line, name in names:
        top, _, rest = name.partition(".")
        if top == "skgd":
            inner = rest.partition(".")[0]
            yield line, inner if inner in known else "__init__"


@pytest.mark.parametrize(
    ("path", "line", "expected"),
    [
        ("a.py", "from .b.c import d", "skgd.b.c"),
        ("a/b.py", "from ..c import d", "skgd.c"),
        ("a/b.py", "from .c import d", "skgd.a.c"),
        ("a/b.py", "from .. import c", "skgd.c"),
        ("a/b.py", "def f():\n    import skgd.c", "skgd.c"),
        ("a/b.py", "if TYPE_CHECKING:\n    from skgd.c import d", "skgd.c"),
        ("a/__init__.py", "from .b import c", "skgd.a.b"),
    ],
)
def test_imports_are_found(path, line, expected):
    assert [name for _, name in imported(Path(path), ast.parse(line))] == [expected]


def test_every_room_has_a_floor():
    rooms = {room(path) for path in FILES}
    assert rooms == set().union(*FLOORS)


def test_modules_import_from_the_floors_below():
    wrong = [
        f"skgd/{path}:{line}: {room(path)} imports {name}"
        for path, tree in FILES.items()
        for line, name in rooms_of(imported(path, tree))
        if name != room(path) and floor(name) <= floor(room(path))
    ]
    assert not wrong, "\n".join(wrong)


def test_one_folder_knows_numba():
    wrong = [
        f"skgd/{path}:{line}: imports {name}"
        for path, tree in FILES.items()
        for line, name in imported(path, tree)
        if name.partition(".")[0] in NUMBA and room(path) != "compiled"
    ]
    assert not wrong, "\n".join(wrong)


# ---------------------------------------------------------------- limits
def compiled(node: ast.AST) -> bool:
    """Whether Numba compiles a function, or the methods of a class."""
    called = [decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list]
    return any(isinstance(name, ast.Name) and name.id in COMPILED for name in called)


def functions(tree: ast.AST, inside: bool = False) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """All functions and methods, functions in functions included, and whether Numba compiles them."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        here = inside or (named and compiled(node))
        if named and not isinstance(node, ast.ClassDef):
            yield node, here
        yield from functions(node, here)


def parameters(function: ast.FunctionDef) -> int:
    """How many parameters a function has, beside self."""
    of = function.args
    names = [argument.arg for argument in (*of.posonlyargs, *of.args)]
    return len(names) - (names[:1] in (["self"], ["cls"])) + len(of.kwonlyargs) + sum(map(bool, (of.vararg, of.kwarg)))


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function below its signature and its docstring."""
    first, *others = function.body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    if documented:
        return function.body[-1].end_lineno - first.end_lineno if others else 0
    return function.body[-1].end_lineno - first.lineno + 1


def public_of_estimators(path: Path, function: ast.FunctionDef) -> bool:
    """Constructors and `fit` of what users import have the signatures that scikit-learn asks for."""
    return room(path) in ("estimators", "dask") and function.name in ("__init__", "fit")


def test_lines_of_bodies_are_counted():
    def counted(code):
        return body_lines(ast.parse(code).body[0])

    assert counted("def f(a,\n      b):\n    return a") == 1
    assert counted('def f():\n    """Long,\n    very long."""\n\n    x = 1\n    return x') == 3
    assert counted('def f():\n    """Nothing else."""') == 0


def test_parameters_are_counted():
    methods = "@struct\nclass A:\n    def f(self, a, /, b, *c, d=1, **e):\n        def g(h): ..."
    code = f"{methods}\ndef k(): ...\n@kernel(x=1)\ndef l(): ..."
    found = [(function.name, parameters(function), jitted) for function, jitted in functions(ast.parse(code))]
    assert found == [("f", 5, True), ("g", 1, True), ("k", 0, False), ("l", 0, True)]


def test_no_file_is_long():
    wrong = [
        f"skgd/{path} has {lines} lines"
        for path in FILES
        if (lines := len((PACKAGE / path).read_text().splitlines())) > LINES.get(room(path), MOST_LINES)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_function_has_many_parameters():
    wrong = [
        f"skgd/{path}:{function.lineno}: {function.name} has {count} parameters"
        for path, tree in FILES.items()
        for function, jitted in functions(tree)
        if (count := parameters(function)) > (MOST_PARAMETERS_COMPILED if jitted else MOST_PARAMETERS)
        and not public_of_estimators(path, function)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_function_is_long():
    wrong = [
        f"skgd/{path}:{function.lineno}: {function.name} has {lines} lines"
        for path, tree in FILES.items()
        for function, _ in functions(tree)
        if (lines := body_lines(function)) > BODY
    ]
    assert not wrong, "\n".join(wrong)
