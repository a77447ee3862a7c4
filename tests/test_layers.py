"""Layered imports: each sub-package of scripts/prep imports only those below it, and programs import none."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

LAYERS = (
    "runtime",
    "storage",
    "records",
    "comparison",
    "containers",
    "deduplication",
    "hub",
    "convert",
    "serving",
    "inference",
    "reasoning",
    "rendering",
    "report",
    "terminal",
)
SCRIPTS = ROOT / "scripts"
MODULES = {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SCRIPTS.rglob("*.py")
}


def imports_of(path: Path) -> set[str]:
    """The modules of scripts/ that a file imports, wherever the statement stands."""
    named = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return named & MODULES.keys()


def test_every_sub_package_has_its_layer() -> None:
    found = {path.parent.name for path in (SCRIPTS / "prep").glob("*/__init__.py")}
    assert found == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_layers_below_it(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    for path in (SCRIPTS / "prep" / layer).glob("*.py"):
        layers = {name.split(".")[1] for name in imports_of(path) if name.count(".")}
        assert layers <= set(allowed), path


def test_no_imports_go_in_circles() -> None:
    # A package is initialized before its modules; that its modules import it is no circle.
    modules = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
    graph = {name: imports_of(path) & modules.keys() for name, path in modules.items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_no_program_imports_another() -> None:
    programs = {path.stem for path in SCRIPTS.glob("*.py")}
    for name in [*programs, *(name for name in MODULES if name.startswith("prep"))]:
        assert not imports_of(MODULES[name]) & programs, name
