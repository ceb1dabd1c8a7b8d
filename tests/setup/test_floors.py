"""The house with floors: imports point down, folders of one floor leave each other alone."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.setup.project import ROOT, sources

FLOORS = (
    (
        "contracts", "schema", "batch", "plugins", "plugin_names", "lazy_exports", "errors", "checks",
        "padding", "dropout", "dynamic_length", "float_weights", "compatibility",
    ),
    (
        "interactions", "encoders", "target_attention", "scorers", "heads", "losses", "metrics", "data",
    ),
    ("embeddings", "distributed"),
    ("models",),
    ("retrieval",),
    ("evaluation",),
    ("training",),
    ("serving", "testing", "command_line"),
    ("__main__",),
)  # fmt: skip
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
LONGEST = {"torchrec_ext": 300, "benchmarks": 300, "recipes": 200}
OUTSIDE = ("recipes", "benchmarks", "tests")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sources("torchrec_ext")}


def imports(tree: ast.AST, module: str, is_package: bool, modules: set[str]) -> Iterator[str]:
    """Every module that is named in an import statement, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                up = parts[: len(parts) - node.level + is_package]
                base = ".".join([*up, base] if base else up)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                yield deeper if deeper in modules else base


def faults(module: str, imported: str) -> str | None:
    """Why ``module`` must not import ``imported``; None where it may."""
    if imported.split(".")[0] in OUTSIDE:
        return f"{module} imports {imported}: nothing imports these"
    if not imported.startswith("torchrec_ext."):
        return None
    mine, other = module.split(".")[1], imported.split(".")[1]
    if not {mine, other} <= FLOOR_OF.keys():
        return f"{module} imports {imported}: one of them has no floor"
    if FLOOR_OF[other] > FLOOR_OF[mine]:
        return f"{module} (floor {FLOOR_OF[mine]}) imports {imported} (floor {FLOOR_OF[other]}): upwards"
    if FLOOR_OF[other] == FLOOR_OF[mine] > 0 and other != mine:
        return f"{module} imports {imported}: two folders of floor {FLOOR_OF[mine]}"
    return None


def graph() -> dict[str, set[str]]:
    known = set(MODULES)
    return {
        module: {
            imported
            for imported in imports(ast.parse(path.read_text()), module, path.stem == "__init__", known)
            if imported.split(".")[0] in ("torchrec_ext", *OUTSIDE)
        }
        for module, path in MODULES.items()
    }


def test_every_part_has_a_floor():
    without = {module.split(".")[1] for module in MODULES if "." in module} - FLOOR_OF.keys()
    assert not without, "give it a floor here and in CONTRIBUTING.md"


def test_the_package_itself_imports_none_of_its_parts():
    assert graph()["torchrec_ext"] == {"torchrec_ext.lazy_exports"}


def test_imports_point_down():
    found = [
        fault
        for module, imported in graph().items()
        if module != "torchrec_ext"
        for name in sorted(imported)
        if (fault := faults(module, name))
    ]
    assert not found, "\n".join(found)


def test_no_cycle():
    try:
        list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail("a cycle: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize("folder", LONGEST)
def test_no_file_is_too_long(folder):
    lines = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources(folder)}
    long = {path: count for path, count in lines.items() if count > LONGEST[folder]}
    assert not long, f"over {LONGEST[folder]} lines, so two concepts: {long}"


# The checks themselves, on small cases.


def test_faults_sees_what_is_forbidden():
    assert "upwards" in faults("torchrec_ext.data.reading.read", "torchrec_ext.training.loop")
    assert "two folders" in faults("torchrec_ext.encoders.gru", "torchrec_ext.losses.ranking")
    assert "nothing imports" in faults("torchrec_ext.data.reading.read", "tests.processes")
    assert faults("torchrec_ext.plugins", "torchrec_ext.contracts") is None
    assert faults("torchrec_ext.models.ranker", "torchrec_ext.embeddings.tables") is None
    assert faults("torchrec_ext.encoders.gru", "torchrec_ext.encoders.masks") is None


def test_imports_sees_every_form():
    code = (
        "import a.b\nfrom torchrec_ext import batch, name\nfrom . import gru\nfrom ..losses import ranking\n"
        "def f():\n    from torchrec_ext.data.reading.read import read_events\n"
    )
    modules = {"torchrec_ext.batch", "torchrec_ext.encoders.gru"}
    found = set(imports(ast.parse(code), "torchrec_ext.encoders.caser", False, modules))
    assert found == {
        "a.b",
        "torchrec_ext.batch",
        "torchrec_ext",
        "torchrec_ext.encoders.gru",
        "torchrec_ext.losses",
        "torchrec_ext.data.reading.read",
    }
    assert set(imports(ast.parse("from . import gru"), "torchrec_ext.encoders", True, modules)) == {
        "torchrec_ext.encoders.gru"
    }
