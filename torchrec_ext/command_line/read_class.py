"""A class as its source declares it, read without importing anything."""

import ast
import dataclasses
from typing import Any

from torchrec_ext.command_line.read_source import (
    UnreadableError,
    as_literal,
    path_of,
    read_source,
    read_stub,
    value_of,
)

_FRAMEWORKS = ("torch", "abc", "typing", "builtins")
"""Packages whose classes inherit from none of ours, so that there is nothing to read there."""


@dataclasses.dataclass(frozen=True)
class DeclaredClass:
    """What is known of a class.

    Args:
        path: ``package.module.Class``.
        doc: its docstring, or that of the nearest ancestor that has one.
        ancestors: paths of the class and of the classes that it inherits from.
        attributes: values of the class attributes that were asked for, where there are any.
    """

    path: str
    doc: str
    ancestors: tuple[str, ...]
    attributes: dict[str, Any]


def read_class(path: str, attributes: tuple[str, ...] = ()) -> DeclaredClass:
    """Reads a class and its ancestors from their files.

    Args:
        path: ``package.module.Class``; names that a package imports from its modules work too.
        attributes: class attributes whose values are wanted.

    Raises:
        UnreadableError: if a file is missing or has no such class, if a file imports a package that is not
            installed, or if the class is made or an attribute is computed in a way that only running shows.

    Example:
        >>> gru = read_class("torchrec_ext.encoders.GRU", ("causal",))
        >>> gru.path, gru.attributes
        ('torchrec_ext.encoders.gru.GRU', {'causal': True})
    """
    lineage = find_lineage(path)
    doc = next(filter(None, (ast.get_docstring(node) for _, node in lineage)), "")
    values = {}
    for name in attributes:
        stated = [node for _, declared in lineage if (node := value_of(name, declared.body))]
        if stated:
            values[name] = as_literal(stated[0])
    return DeclaredClass(lineage[0][0], doc, tuple(ancestor for ancestor, _ in lineage), values)


def classes_of(module: str) -> list[str]:
    """Paths of the classes that a module's file defines."""
    return [f"{module}.{name}" for name in read_source(module).classes]


def read_tuples(module: str, name: str) -> dict[str, tuple[str, ...]]:
    """A dictionary of tuples of classes that a module assigns to a name, the classes as paths."""
    source = read_source(module)
    value = value_of(name, source.tree.body)
    if not isinstance(value, ast.Dict) or not all(isinstance(v, ast.Tuple) for v in value.values):
        raise UnreadableError(f"{module}.{name} is not a dictionary of tuples")
    return {
        as_literal(key): tuple(path_of(one, source) for one in classes.elts)  # type: ignore[arg-type, attr-defined]
        for key, classes in zip(value.keys, value.values, strict=True)
    }


def find_lineage(path: str, depth: int = 0) -> list[tuple[str, ast.ClassDef]]:
    """The class and its ancestors, nearest first, with their paths.

    Raises:
        UnreadableError: see :func:`read_class`.
    """
    module, _, name = path.rpartition(".")
    source = read_source(module)
    node = source.classes.get(name)
    if node is None:
        exported = source.imports.get(name) or read_stub(module).get(name)
        if exported is None or depth > 20:
            raise UnreadableError(f"{module} defines no class {name}")
        return find_lineage(exported, depth + 1)
    if node.decorator_list or node.keywords:
        raise UnreadableError(f"{path} is made by more than a class statement")
    lineage = [(path, node)]
    for base in node.bases:
        inherited = path_of(base.value if isinstance(base, ast.Subscript) else base, source)
        if inherited.partition(".")[0] not in _FRAMEWORKS:
            lineage += find_lineage(inherited, depth + 1)
    return lineage
