"""Names that a package exports and imports at their first use."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package, read from its ``__init__.pyi``.

    Type checkers read the same stub, so both see the same names. It holds absolute imports alone, one
    ``from package.module import Name as Name`` for each export.

    A name that equals that of a module of the package cannot be lazy, since importing the module puts the
    module in its place: import such a name in ``__init__.py``.

    Args:
        package: the package's ``__name__``.

    Raises:
        ValueError: if an export has the name of a module that exports are in.

    Example:
        >>> get, listing, names = lazy_exports("torchrec_ext.scorers")
        >>> names
        ['CosineScorer', 'DotScorer', 'MixtureOfLogits', 'NeuMF']
        >>> get("DotScorer")
        <class 'torchrec_ext.scorers.dot.DotScorer'>
    """
    module = sys.modules[package]
    source_of = _imports(Path(str(module.__file__)).with_suffix(".pyi"))
    for name in source_of:
        if f"{package}.{name}" in source_of.values():
            raise ValueError(f"{package}.{name} is an export and a module; rename one or import it eagerly")

    def get(name: str) -> Any:
        if name not in source_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        source = source_of[name]
        found = import_module(f"{source}.{name}" if source == package else source)
        value = found if source == package else getattr(found, name)
        setattr(module, name, value)
        return value

    def listing() -> list[str]:
        return sorted({*source_of, *(name for name in vars(module) if name.startswith("__"))})

    return get, listing, sorted(source_of)


def _imports(stub: Path) -> dict[str, str]:
    """Each name that a stub exports, as ``from module import Name as Name``, and its module."""
    return {
        alias.name: node.module
        for node in ast.walk(ast.parse(stub.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname
    }
