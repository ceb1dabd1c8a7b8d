"""The parameters of a class's constructor as its source declares them, read without importing the class."""

import ast
import builtins
import inspect
from importlib import import_module
from typing import Any, Literal, Union

from torchrec_ext.command_line.read_class import find_lineage
from torchrec_ext.command_line.read_source import (
    Source,
    UnreadableError,
    as_literal,
    path_of,
    read_source,
    value_of,
)


def read_parameters(path: str) -> list[inspect.Parameter]:
    """The named parameters of a class's constructor, all as keywords, with their types and defaults.

    A class that a file defines, and everything of torch, becomes ``object``.

    Raises:
        UnreadableError: also if a default is computed, or a type is not known.

    Example:
        >>> [str(parameter) for parameter in read_parameters("torchrec_ext.scorers.CosineScorer")]
        ['dim: int', 'temperature: float = 0.1']
    """
    for ancestor, node in find_lineage(path):
        for made in node.body:
            if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                try:
                    return _parameters(made, read_source(ancestor.rpartition(".")[0]))
                except (SyntaxError, TypeError) as error:  # of an annotation that was never evaluated
                    raise UnreadableError(f"{ancestor}: {error}") from error
    return []


def _parameters(function: ast.FunctionDef, source: Source) -> list[inspect.Parameter]:
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
            default=as_literal(defaults[one]) if one in defaults else empty,
            annotation=_type(one.annotation, source) if one.annotation else empty,
        )
        for one in [*positional[max(1, len(taken.posonlyargs)) :], *taken.kwonlyargs]
    ]


def _type(node: ast.expr, source: Source) -> Any:
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
                return found if found is object else Literal[as_literal(inside)]
            return found[_type(inside, source)]
        case ast.Name(id=name) if name in source.classes:
            return object
        case ast.Name(id=name) if (alias := value_of(name, source.tree.body)) is not None:
            return _type(alias, source)
        case ast.Name(id=name) if hasattr(builtins, name) and name not in source.imports:
            return getattr(builtins, name)
    module, _, name = path_of(node, source).rpartition(".")
    if module in ("torch", "torch.nn"):
        return object
    if module in ("typing", "collections.abc"):
        return getattr(import_module(module), name)
    return _type(ast.Name(name), read_source(module))
