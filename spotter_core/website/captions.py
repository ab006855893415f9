"""What a picture shows, in a sentence: the docstring of the function that draws it.

Read off the sources, without importing them: a notebook says which function drew a picture, and
under which name it is saved.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from spotter_core.sources import PACKAGE, ROOT
from spotter_core.website.executed import Cell


@dataclass
class Captions:
    """Sentences for the pictures of one notebook."""

    by_cell: dict[str, list[str]] = field(default_factory=dict)
    """By the name of the cell that draws, in its order."""
    by_file: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Sentence, and name of the cell, by the file that is saved."""


@cache
def summaries() -> dict[str, dict[str, str]]:
    """Return the first line of every function's docstring, by module and name."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts))
        functions = found.setdefault(module.removesuffix(".__init__"), {})
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                functions[node.name] = in_words(text.partition("\n\n")[0])
    return found


def in_words(docstring: str) -> str:
    """Return a docstring's first paragraph without its markup."""
    return re.sub(r":\w+:`~?([^`]+)`|``([^`]+)``", r"\1\2", " ".join(docstring.split()))


def drawing_functions(tree: ast.AST) -> dict[str, str]:
    """Return the sentence of every drawing function that a notebook imports, by its name there."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for alias in node.names:
                own = summaries().get(node.module or "", {})
                below = (v for k, v in summaries().items() if k.startswith(f"{node.module}."))
                sentence = next((v[alias.name] for v in (own, *below) if alias.name in v), "")
                if sentence and re.match(r"plot_|draw_|show_|animate_", alias.name):
                    found[alias.asname or alias.name] = sentence
    return found


def parsed(source: str) -> ast.Module:
    """Return the tree of a cell's code, IPython's own lines left out."""
    lines = [line for line in source.splitlines() if not re.match(r"\s*[%!]", line)]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def title_of(tree: ast.AST) -> str:
    """Return the title that a cell gives its picture, up to the first value put into it."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        named = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        given = [word.value for word in call.keywords if word.arg == "title"]
        given += call.args[:1] if named in ("suptitle", "set_title") else []
        for value in given:
            first = value.values[0] if isinstance(value, ast.JoinedStr) and value.values else value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                return first.value.rstrip(" ,(:") + "."
    return ""


def sentences_of(tree: ast.AST, functions: dict[str, str]) -> list[str]:
    """Return what the pictures of a cell show: its own title, and each function's sentence."""
    title = title_of(tree)
    called = [
        functions[node.func.id]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in functions
    ]
    told = [f"{title} {sentence}".strip() for sentence in dict.fromkeys(called)]
    return told or ([title] if title else [])


def captions_of(cells: Sequence[Cell]) -> Captions:
    """Return the sentences for the pictures of a notebook."""
    code = [(cell.name, parsed(cell.source)) for cell in cells if cell.kind == "code"]
    functions = {k: v for _, tree in code for k, v in drawing_functions(tree).items()}
    captions = Captions()
    drawn: dict[str, tuple[str, str]] = {}
    for name, tree in code:
        captions.by_file |= saved_files(tree, drawn)
        sentences = sentences_of(tree, functions)
        captions.by_cell[name] = sentences
        targets = [
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for each in node.targets
            for target in ast.walk(each)
            if isinstance(target, ast.Name)
        ]
        drawn |= {target: (sentences[0], name) for target in targets if sentences}
    return captions


def saved_files(tree: ast.AST, drawn: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return sentence and cell of the pictures that a cell saves, by the file's name."""
    found = {}
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            continue
        if call.func.id.startswith("save_"):
            names = [n.id for n in ast.walk(call) if isinstance(n, ast.Name) and n.id in drawn]
            files = [n.value for n in ast.walk(call) if isinstance(n, ast.Constant)]
            for file in files:
                if names and isinstance(file, str) and Path(file).suffix:
                    found[file] = drawn[names[0]]
    return found
