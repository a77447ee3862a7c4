"""Content digest of a program and its import closure: syntax trees without comments and docstrings."""

import ast
import hashlib
import symtable
from functools import cache
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

NOT_FOLLOWED = {"import_module", "__import__", "run_module", "run_path", "getsource", "getdoc"}
"""Functions that import what no statement names, or read docstrings, which the digest leaves out."""


@cache
def code_digest(scripts: Path, program: str) -> str:
    """A digest of the code of a program and of every module of ours that it imports.

    A file of another kind counts for the module that it is named after (a template, say). Times and places
    of files do not count, so that another clone of the same commit reruns nothing. `WorkflowError` for an
    import that cannot be followed.
    """
    files, new = set(), {scripts / program}
    while new:
        files |= new
        new = set().union(*(imported_files(scripts, file) for file in new)) - files
    stems = {file.stem for file in files}
    files |= {file for file in other_files(scripts) if file.stem in stems}
    parts = [f"{file.relative_to(scripts).as_posix()} {content_digest(file)}" for file in sorted(files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def other_files(scripts: Path) -> list[Path]:
    """The files beside the programs that are no Python."""
    return [file for file in scripts.rglob("*.*") if file.is_file() and file.suffix not in (".py", ".pyc")]


@cache
def content_digest(file: Path) -> str:
    """A digest of a file's bytes, or of a Python file's syntax tree."""
    if file.suffix == ".py":
        return read_code(file)[0]
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def read_code(file: Path) -> tuple[str, list[ast.AST]]:
    """The digest of a Python file's syntax tree, and its nodes that `imported_names` is to look at.

    The rest is dropped: the trees of all programs are 300,000 objects, which garbage collections would look
    through for as long as Snakemake runs.
    """
    naming: list[ast.AST] = []
    text = canonical(ast.parse(file.read_bytes(), file), naming)
    return hashlib.sha256(text.encode()).hexdigest(), naming


def canonical(node: Any, naming: list[ast.AST]) -> str:
    """A syntax tree as nested lists, in Python's notation, without positions and docstrings.

    Empty fields are left out, since Python versions differ in which ones a node has; and `ctx`, which follows
    from where a node stands. Nodes that may import are added to `naming`.
    """
    if isinstance(node, list):
        return f"[{', '.join([canonical(each, naming) for each in node if not is_docstring(each)])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        naming.append(node)
    text = f"[{type(node).__name__!r}"
    for key in node._fields:
        value = getattr(node, key, None)
        if isinstance(value, str):
            text += f", ({key!r}, {value!r})"
            if value == "__doc__" or value in NOT_FOLLOWED:
                naming.append(node)
        elif value is not None and value != [] and key != "ctx":
            text += f", ({key!r}, {canonical(value, naming)})"
    return f"{text}]"


def is_docstring(node: Any) -> bool:
    """Whether a statement is a string and nothing else: the docstring of a definition or of a constant."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def imported_files(scripts: Path, file: Path) -> set[Path]:
    """The files of ours that a file's import statements name, wherever these stand in it."""
    found: set[Path] = set()
    for node in read_code(file)[1]:
        try:
            for name in imported_names(node):
                found |= module_files(scripts, name)
        except ImportError as error:
            where = f"{file.relative_to(scripts)}, line {node.lineno}"
            raise WorkflowError(f"code digest: {where}: {error}") from None
    return found


def imported_names(node: ast.AST) -> list[str]:
    """What a node imports, each by its full name: a module, or a member of one."""
    match node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(level=0, module=module, names=aliases):
            return [f"{module}.{alias.name}" for alias in aliases]
        case ast.ImportFrom():
            raise ImportError("a relative import cannot be followed; name the module whole")
        case ast.Attribute(attr="__doc__"):
            raise ImportError("docstrings do not count as code; keep what is printed in a constant")
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name in NOT_FOLLOWED:
            raise ImportError(f"what {name} reads cannot be followed; use an import statement, or a constant")
    return []


@cache
def module_files(scripts: Path, name: str) -> set[Path]:
    """The files that run where a name is imported: its parents' and its own; none where it is not ours."""
    parts, found = name.split("."), []
    for end in range(1, len(parts) + 1):
        place = scripts.joinpath(*parts[:end])
        file = next(filter(Path.is_file, (place / "__init__.py", place.with_suffix(".py"))), None)
        if file:
            found.append(file)
        elif not found:
            break  # a library
        elif end < len(parts) or (found[-1].name == "__init__.py" and parts[-1] not in names_in(found[-1])):
            raise ImportError(f"there is no module {name}")
    return set(found)


def names_in(file: Path) -> set[str]:
    """The names that a file binds or uses at its top level."""
    return set(symtable.symtable(file.read_text(encoding="utf-8"), str(file), "exec").get_identifiers())
