"""A class as its source declares it, read without importing anything."""

import ast
import builtins
import dataclasses
import inspect
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Union

_FRAMEWORKS = ("torch", "abc", "typing", "builtins")
"""Packages whose classes inherit from none of ours, so that there is nothing to read there."""


class UnreadableError(Exception):
    """The source does not say what is asked; importing the class will."""


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
    lineage = _lineage(path, depth=0)
    doc = next(filter(None, (ast.get_docstring(node) for _, node in lineage)), "")
    values = {}
    for name in attributes:
        stated = [node for _, declared in lineage if (node := _assigned(declared.body, name))]
        if stated:
            values[name] = _literal(stated[0])
    return DeclaredClass(lineage[0][0], doc, tuple(ancestor for ancestor, _ in lineage), values)


def read_parameters(path: str) -> list[inspect.Parameter]:
    """The named parameters of a class's constructor, all as keywords, with their types and defaults.

    A class that a file defines, and everything of torch, becomes ``object``.

    Raises:
        UnreadableError: also if a default is computed, or a type is not known.

    Example:
        >>> [str(parameter) for parameter in read_parameters("torchrec_ext.scorers.CosineScorer")]
        ['dim: int', 'temperature: float = 0.1']
    """
    for ancestor, node in _lineage(path, depth=0):
        for made in node.body:
            if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                try:
                    return _parameters(made, _source(ancestor.rpartition(".")[0]))
                except (SyntaxError, TypeError) as error:  # of an annotation that was never evaluated
                    raise UnreadableError(f"{ancestor}: {error}") from error
    return []


def classes_of(module: str) -> list[str]:
    """Paths of the classes that a module's file defines."""
    return [f"{module}.{name}" for name in _source(module).classes]


def read_tuples(module: str, name: str) -> dict[str, tuple[str, ...]]:
    """A dictionary of tuples of classes that a module assigns to a name, the classes as paths."""
    source = _source(module)
    value = _assigned(source.tree.body, name)
    if not isinstance(value, ast.Dict) or not all(isinstance(v, ast.Tuple) for v in value.values):
        raise UnreadableError(f"{module}.{name} is not a dictionary of tuples")
    return {
        _literal(key): tuple(_path(one, source) for one in classes.elts)  # type: ignore[arg-type, attr-defined]
        for key, classes in zip(value.keys, value.values, strict=True)
    }


@dataclasses.dataclass(frozen=True)
class _Source:
    """A parsed file: its classes, and the path of each name that it imports."""

    module: str
    tree: ast.Module
    classes: dict[str, ast.ClassDef]
    imports: dict[str, str]


def _lineage(path: str, depth: int) -> list[tuple[str, ast.ClassDef]]:
    """The class and its ancestors, nearest first, with their paths."""
    module, _, name = path.rpartition(".")
    source = _source(module)
    node = source.classes.get(name)
    if node is None:
        exported = source.imports.get(name) or _stub(module).get(name)
        if exported is None or depth > 20:
            raise UnreadableError(f"{module} defines no class {name}")
        return _lineage(exported, depth + 1)
    if node.decorator_list or node.keywords:
        raise UnreadableError(f"{path} is made by more than a class statement")
    lineage = [(path, node)]
    for base in node.bases:
        inherited = _path(base.value if isinstance(base, ast.Subscript) else base, source)
        if inherited.partition(".")[0] not in _FRAMEWORKS:
            lineage += _lineage(inherited, depth + 1)
    return lineage


def _path(node: ast.expr, source: _Source) -> str:
    """The path of the class that an expression such as ``nn.Module`` names."""
    if isinstance(node, ast.Attribute):
        return f"{_path(node.value, source)}.{node.attr}"
    if isinstance(node, ast.Name) and node.id in source.classes:
        return f"{source.module}.{node.id}"
    if isinstance(node, ast.Name) and node.id in source.imports:
        return source.imports[node.id]
    raise UnreadableError(f"{source.module} names the class {ast.unparse(node)}, which it does not import")


def _parameters(function: ast.FunctionDef, source: _Source) -> list[inspect.Parameter]:
    if function.decorator_list:
        raise UnreadableError(f"{source.module} decorates a constructor")
    taken, empty = function.args, inspect.Parameter.empty
    positional = [*taken.posonlyargs, *taken.args]
    defaults = dict(zip(reversed(positional), reversed(taken.defaults), strict=False))
    defaults |= {one: value for one, value in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if value}
    return [
        inspect.Parameter(
            one.arg,
            inspect.Parameter.KEYWORD_ONLY,
            default=_literal(defaults[one]) if one in defaults else empty,
            annotation=_type(one.annotation, source) if one.annotation else empty,
        )
        for one in [*positional[max(1, len(taken.posonlyargs)) :], *taken.kwonlyargs]
    ]


def _type(node: ast.expr, source: _Source) -> Any:
    """The type that an annotation names."""
    match node:
        case ast.Constant(value=str(text)):
            return _type(ast.parse(text, mode="eval").body, source)
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_type(left, source), _type(right, source)]  # noqa: UP007
        case ast.Tuple(elts=parts):
            return tuple(_type(part, source) for part in parts)
        case ast.List(elts=parts):
            return [_type(part, source) for part in parts]
        case ast.Subscript(value=generic, slice=inside):
            found = _type(generic, source)
            if found in (object, Literal):
                return found if found is object else Literal[_literal(inside)]
            return found[_type(inside, source)]
        case ast.Name(id=name) if name in source.classes:
            return object
        case ast.Name(id=name) if (alias := _assigned(source.tree.body, name)) is not None:
            return _type(alias, source)
        case ast.Name(id=name) if hasattr(builtins, name) and name not in source.imports:
            return getattr(builtins, name)
    module, _, name = _path(node, source).rpartition(".")
    if module in ("torch", "torch.nn"):
        return object
    if module in ("typing", "collections.abc"):
        return getattr(import_module(module), name)
    return _type(ast.Name(name), _source(module))


def _source(module: str) -> _Source:
    file = _file(module)
    if file is None:
        raise UnreadableError(f"no source of {module}")
    source = _parsed(file, module, file.stat().st_mtime_ns)
    for imported in source.imports.values():
        if _spec(imported.partition(".")[0]) is None:
            raise UnreadableError(f"{module} imports {imported}, which is not installed")
    return source


@cache
def _parsed(file: Path, module: str, modified: int) -> _Source:
    try:
        tree = ast.parse(file.read_text())
    except (SyntaxError, ValueError) as error:
        raise UnreadableError(f"{file}: {error}") from error
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return _Source(module, tree, classes, _imports(tree.body, package))


def _stub(module: str) -> dict[str, str]:
    """The names that the stub of a package with lazy exports imports."""
    file = _file(module)
    stub = file.with_suffix(".pyi") if file else None
    if stub is None or not stub.is_file():
        return {}
    return _imports(ast.parse(stub.read_text()).body, module)


def _imports(statements: list[ast.stmt], package: str) -> dict[str, str]:
    found = {}
    for node in statements:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            up = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (up, node.module)))
            found |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return found


def _file(module: str) -> Path | None:
    """The source of a module, found without importing the packages it is in."""
    top, *below = module.split(".")
    spec = _spec(top)
    if spec is None:
        return None
    files = [Path(spec.origin or "")] if not below else []
    for folder in spec.submodule_search_locations or ():
        files += [Path(folder, *below, "__init__.py"), Path(folder, *below).with_suffix(".py")]
    return next((file for file in files if file.suffix == ".py" and file.is_file()), None)


def _spec(top: str) -> ModuleSpec | None:
    """Where a package, or a module in none, is installed."""
    try:
        return find_spec(top)
    except ValueError:  # a module that was made by hand
        return None


def _assigned(body: list[ast.stmt], name: str) -> ast.expr | None:
    for node in reversed(body):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value
    return None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise UnreadableError(f"{ast.unparse(node)} is computed") from error
