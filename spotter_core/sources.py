"""What code a result depends on: imports read off the source, and a fingerprint of their closure.

Layer 0. Comments, docstrings and layout do not count, so editing them makes nothing anew; neither
do a notebook's text and its outputs.
"""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from spotter_core import once

PACKAGE = "spotter_core"
ROOT = Path(__file__).resolve().parent


def module_path(module: str) -> Path:
    """Return the source file of a dotted module of this package."""
    return path_below(ROOT, module)


@cache
def path_below(root: Path, module: str) -> Path:
    """Return the same in a folder; the disk is asked once whether it is a package."""
    path = root.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def module_source(module: str) -> bytes:
    """Return a module's source as this process first read it, for its import or for a hash."""
    return once.source(str(module_path(module)))


def imported_modules(tree: ast.AST) -> set[str]:
    """Return the modules of this package that a piece of code imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {m for m in found if m.split(".")[0] == PACKAGE and module_path(m).is_file()} - {PACKAGE}


def without_docstrings(source: str | bytes) -> ast.AST:
    """Return the syntax tree of ``source`` with its docstrings taken out."""
    return stripped(ast.parse(source))


def stripped(tree: ast.AST) -> ast.AST:
    """Return ``tree`` without docstrings; it is changed."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not is_text(statement)]  # type: ignore[attr-defined]
    return tree


def is_text(statement: ast.AST) -> bool:
    """Return whether a statement is a bare string: a docstring, or one below an attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def direct_imports(source: bytes) -> frozenset[str]:
    """Return the modules of this package that a module of that source imports itself."""
    return frozenset(imported_modules(ast.parse(source)))


def module_closure(module: str) -> frozenset[str]:
    """Return ``module`` and all modules of this package that it imports, directly or not."""
    closure, waiting = set[str](), [module]
    while waiting:
        current = waiting.pop()
        if current not in closure:
            closure.add(current)
            waiting += direct_imports(module_source(current))
    return frozenset(closure)


def closure_of_code(source: str) -> frozenset[str]:
    """Return all modules of this package that a piece of code depends on."""
    return frozenset().union(*map(module_closure, imported_modules(ast.parse(source))))


@cache
def source_digest(source: bytes) -> str:
    """Return a hash of the code of a module of that source."""
    return hashlib.sha256(ast.dump(without_docstrings(source)).encode()).hexdigest()


def module_digest(module: str) -> str:
    """Return a hash of one module's code, as it was imported if it was."""
    return source_digest(module_source(module))


def code_fingerprint(*modules: str) -> str:
    """Return 12 hex digits of the code of ``modules`` and of all that they import."""
    closure = sorted(frozenset().union(*map(module_closure, modules)))
    text = "".join(f"{module} {module_digest(module)}\n" for module in closure)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def function_tree(function: Callable[..., Any]) -> ast.AST:
    """Return the syntax tree of a function; one of this package's as its module was imported."""
    if not function.__module__.startswith(f"{PACKAGE}."):
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    found: Any = ast.parse(module_source(function.__module__))
    for name in function.__qualname__.split("."):
        found = next(node for node in found.body if getattr(node, "name", None) == name)
    return ast.Module([found], [])


def function_digest(*functions: Callable[..., Any]) -> str:
    """Return 12 hex digits of the code of single functions, without what they call."""
    trees = [stripped(function_tree(f)) for f in functions]
    return hashlib.sha256("".join(map(ast.dump, trees)).encode()).hexdigest()[:12]


def notebook_code(path: Path) -> str:
    """Return the code cells of a notebook, one after the other."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def notebook_fingerprint(path: Path) -> str:
    """Return 12 hex digits of a notebook's code and of all modules that it depends on."""
    source = notebook_code(path)
    code = hashlib.sha256(ast.dump(ast.parse(source)).encode()).hexdigest()
    return hashlib.sha256((code + code_fingerprint(*closure_of_code(source))).encode()).hexdigest()[
        :12
    ]
