"""The settings of a plug-in, as a dataclass that the command line can read."""

import dataclasses
import inspect
import types
from copy import copy
from functools import partial
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from torchrec_ext.command_line.read_parameters import read_parameters
from torchrec_ext.command_line.read_plugin import read_plugin
from torchrec_ext.command_line.read_source import UnreadableError

_NEEDED = ("interactions", "heads", "losses")  # every model needs one
_SIZES = ("num_fields", "dim", "in_dim", "tasks")  # the model gives these
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PLAIN = (int, float, bool, str, type(None))


def module_settings(group: str, name: str | None) -> type:
    """A dataclass of the plain arguments of a plug-in: a number, a word, a truth value, or several.

    An argument that takes other kinds too, such as a module, is a setting of its plain kinds.

    Args:
        group: see :func:`torchrec_ext.plugins.names`.
        name: see :func:`torchrec_ext.plugins.find`; None and ``"none"`` have no settings,
            in groups that a model does not need.

    Returns:
        The dataclass; its docstring is the plug-in's, so that the help says what each setting means.

    Raises:
        InputError: if there is no such plug-in.

    Example:
        >>> module_settings("encoders", "gru")(layers=2)
        gru(hidden=None, layers=2, dropout=0.2)
    """
    if name in (None, "none") and group not in _NEEDED:
        return dataclasses.make_dataclass("none", [], frozen=True)
    documentation, parameters = _constructor(group, str(name))
    fields: list[Any] = []
    for parameter in parameters:
        annotation = _plain(parameter.annotation)
        if parameter.name in _SIZES or annotation is None:
            continue
        if parameter.default is parameter.empty:
            fields.append((parameter.name, annotation))
        else:
            default = partial(copy, parameter.default)
            fields.append((parameter.name, annotation, dataclasses.field(default_factory=default)))
    title = str(name).replace(":", ".").rpartition(".")[2]
    namespace = {"__doc__": documentation}
    return dataclasses.make_dataclass(title, fields, frozen=True, kw_only=True, namespace=namespace)


def _constructor(group: str, name: str) -> tuple[str, list[inspect.Parameter]]:
    """A plug-in's docstring and the named parameters of its constructor.

    They are read from the source, so that ``--help`` is quick; a class whose source does not say everything
    is imported. A parameter whose annotation is missing or cannot be resolved has the type of its default.
    """
    try:
        declared = read_plugin(group, name)
        documentation, parameters = declared.doc, read_parameters(declared.path)
    except UnreadableError:
        plugin = import_module("torchrec_ext.plugins").find(group, name)  # imports torch
        try:
            hints = get_type_hints(plugin.__init__)
        except (NameError, AttributeError, SyntaxError, TypeError):
            hints = {}
        documentation = inspect.getdoc(plugin) or ""
        parameters = [
            parameter.replace(annotation=hints.get(parameter.name, parameter.empty))
            for parameter in inspect.signature(plugin).parameters.values()
            if parameter.kind in _NAMED
        ]
    typed = [p.replace(annotation=type(p.default)) if p.annotation is p.empty else p for p in parameters]
    return documentation, typed


def _plain(annotation: Any) -> Any:
    """The annotation reduced to its plain kinds; None if it has none."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return annotation
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in map(_plain, inner) if kind is not None]
        return None if set(kinds) <= {type(None)} else Union[tuple(kinds)]  # noqa: UP007
    if origin in (tuple, list):
        kinds = [kind if kind is ... else _plain(kind) for kind in inner]
        return None if None in kinds else origin[tuple(kinds)]
    return annotation if annotation in _PLAIN else None
