"""The source of a module, read without importing anything."""

import ast
import dataclasses
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class UnreadableError(Exception):
    """The source does not say what is asked; importing the class will."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A parsed file: its classes, and the path of each name that it imports."""

    module: str
    tree: ast.Module
    classes: dict[str, ast.ClassDef]
    imports: dict[str, str]


def read_source(module: str) -> Source:
    """Parses the file of a module.

    Args:
        module: such as ``package.module``.

    Raises:
        UnreadableError: if it has none, if that is not Python, or if it imports what is not installed.

    Example:
        >>> [*read_source("torchrec_ext.heads.single").classes]
        ['SingleHead']
    """
    file = _file(module)
    if file is None:
        raise UnreadableError(f"no source of {module}")
    source = _parsed(file, module, file.stat().st_mtime_ns)
    for imported in source.imports.values():
        if _spec(imported.partition(".")[0]) is None:
            raise UnreadableError(f"{module} imports {imported}, which is not installed")
    return source


@cache
def _parsed(file: Path, module: str, modified: int) -> Source:
    try:
        tree = ast.parse(file.read_text())
    except (SyntaxError, ValueError) as error:
        raise UnreadableError(f"{file}: {error}") from error
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return Source(module, tree, classes, _imports(tree.body, package))


def read_stub(module: str) -> dict[str, str]:
    """The names that the stub of a package with lazy exports imports."""
    file = _file(module)
    stub = file.with_suffix(".pyi") if file else None
    if stub is None or not stub.is_file():
        return {}
    return _imports(ast.parse(stub.read_text()).body, module)


def path_of(node: ast.expr, source: Source) -> str:
    """The path of the class that an expression such as ``nn.Module`` names."""
    if isinstance(node, ast.Attribute):
        return f"{path_of(node.value, source)}.{node.attr}"
    if isinstance(node, ast.Name) and node.id in source.classes:
        return f"{source.module}.{node.id}"
    if isinstance(node, ast.Name) and node.id in source.imports:
        return source.imports[node.id]
    raise UnreadableError(f"{source.module} names the class {ast.unparse(node)}, which it does not import")


def value_of(name: str, body: list[ast.stmt]) -> ast.expr | None:
    """What the statements of a module or class assign to a name last; None if they do not."""
    for node in reversed(body):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value
    return None


def as_literal(node: ast.expr) -> Any:
    """The value of an expression; UnreadableError if it is not a literal."""
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise UnreadableError(f"{ast.unparse(node)} is computed") from error


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
