"""lazy_exports(): a package imports each exported name at its first use."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package, read from its ``__init__.pyi``.

    Type checkers read the same stub, so both see the same names. It contains absolute imports only, one
    ``from package.module import Name as Name`` for each export.

    An export may have the name of the module it is in, such as ``training.fit``. Importing that module would
    put it in the place of the export, so that such a package keeps the export.

    Args:
        package: the package's ``__name__``.

    Example:
        >>> get, listing, names = lazy_exports("torchrec_ext.scorers")
        >>> names
        ['CosineScorer', 'DotScorer', 'MixtureOfLogits', 'NeuMF']
        >>> get("DotScorer")
        <class 'torchrec_ext.scorers.dot.DotScorer'>
    """
    module = sys.modules[package]
    source_of = _imports(Path(str(module.__file__)).with_suffix(".pyi"))
    named_as_module = {name for name, source in source_of.items() if source == f"{package}.{name}"}

    class KeepsExports(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            is_module = name in named_as_module and isinstance(value, ModuleType)
            super().__setattr__(name, getattr(value, name) if is_module else value)

    module.__class__ = KeepsExports

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
