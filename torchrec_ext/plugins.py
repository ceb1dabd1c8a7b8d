"""Builds plug-ins by name: built in, an entry point or ``package.module:Class``; and describes modules."""

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

from torch import nn

from torchrec_ext import plugin_names
from torchrec_ext.contracts import GROUPS
from torchrec_ext.errors import InputError, nearest
from torchrec_ext.import_class import import_class, names_from_outside


def names(group: str) -> list[str]:
    """Names of the plug-ins of a group: built-in ones (the file's name), then those of entry points.

    A built-in name takes precedence: an entry point cannot replace it.

    Args:
        group: a key of :data:`~torchrec_ext.contracts.GROUPS`, such as ``encoders``.

    Raises:
        InputError: if there is no such group.
    """
    _expect_group(group)
    return plugin_names.names(group)


def find(group: str, name: str) -> type:
    """The class of that name.

    Args:
        group: see :func:`names`.
        name: a built-in name, an entry point's name, or ``package.module:Class``.

    Raises:
        InputError: if there is none, with the existing names, or if it does not keep the group's contract.

    Example:
        >>> find("interactions", "dot").__name__
        'DotInteraction'
    """
    _expect_group(group)
    if ":" in name:
        found = import_class(name)
    elif name in plugin_names.built_in(group):
        found = _class_of_file(group, name)
    elif points := plugin_names.entry_points_of(group).get(name):
        found = _load(group, name, points)
    else:
        hint = nearest(name, names(group))
        raise InputError(
            f"no {group} named {name!r}{hint}; there are {', '.join(names(group))}, "
            "or pass 'package.module:Class'"
        )
    if not (isinstance(found, type) and issubclass(found, GROUPS[group])):
        raise InputError(
            f"{name!r} is {found!r}, which is not a subclass of contracts.{_contracts(group)}; "
            "subclass it and keep its promises"
        )
    return found


def build(group: str, name: str, **arguments: Any) -> nn.Module:
    """Builds a plug-in by name, checking the arguments against its constructor.

    Raises:
        InputError: for an argument that the constructor does not have, with the nearest one that it has, and
            for a missing argument.

    Example:
        >>> build("interactions", "dot", num_fields=3, dim=8).out_dim
        3
    """
    return _construct(find(group, name), name, arguments)


def make(group: str, plugin: Any, **sizes: int) -> Any:
    """Builds the plug-in argument of a model and checks it against the sizes that the model needs.

    Args:
        group: see :func:`names`.
        plugin: an instance, which is returned; or a class, a name or a function such as the result of
            :func:`bind`, which is called with ``sizes``.
        sizes: such as ``dim``.

    Raises:
        InputError: if it does not keep the group's contract, or an instance was built with other sizes.

    Example:
        >>> make("encoders", "gru", dim=8).out_dim
        16
    """
    if isinstance(plugin, nn.Module):
        made: Any = plugin
    elif isinstance(plugin, str):
        made = build(group, plugin, **sizes)
    elif isinstance(plugin, type):
        made = _construct(plugin, plugin.__name__, sizes)
    else:
        made = plugin(**sizes)
    name = type(made).__name__
    if not isinstance(made, GROUPS[group]):
        raise InputError(f"{name} is not a contracts.{_contracts(group)}, which {group} must be; subclass it")
    for size, wanted in sizes.items():
        built = getattr(made, size, wanted)
        if built != wanted:
            raise InputError(f"the {name} was built with {size}={built}, but the model needs {size}={wanted}")
    return made


def bind(group: str, name: str | None, **arguments: Any) -> Callable[..., nn.Module] | None:
    """Binds the arguments of a plug-in; a model builds it later with the sizes that it needs.

    Args:
        group: see :func:`names`.
        name: see :func:`find`; for None or ``"none"`` the result is None.
        arguments: of the plug-in, without the sizes.

    Example:
        >>> bind("encoders", "gru", hidden=16)(dim=8).out_dim
        16
    """
    if name is None or name == "none":
        return None
    find(group, name)
    return partial(build, group, name, **arguments)


def specification(module: nn.Module, *, without: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """How to build a module again: its class and the arguments it keeps as attributes.

    Args:
        module: the module.
        without: arguments that :func:`rebuild` will receive, since they are not plain values.

    Returns:
        ``{"class": "package.module:Class", "arguments": {...}}`` of plain JSON values, or None if an
        argument is not an attribute of the same name, or is neither a plain value nor a module that can be
        described, or if the class is defined in a function, where it cannot be imported.

    Example:
        >>> from torchrec_ext.encoders import GRU
        >>> specification(GRU(dim=8))["class"]
        'torchrec_ext.encoders.gru:GRU'
    """
    cls = type(module)
    takes = [p for p in _parameters(cls) if p.name not in without]
    if "<locals>" in cls.__qualname__ or any(p.kind not in _NAMED for p in takes):
        return None
    arguments = {p.name: _described(getattr(module, p.name, _missing)) for p in takes}
    if _missing in arguments.values():
        return None
    return {"class": f"{cls.__module__}:{cls.__qualname__}", "arguments": arguments}


def rebuild(spec: dict[str, Any], **more: Any) -> nn.Module:
    """Builds a module from the result of :func:`specification`.

    Args:
        spec: the description.
        more: arguments that are not plain values; one that the class does not have is ignored.

    Raises:
        InputError: if the description does not name an ``nn.Module`` class of this package, an installed
            plug-in or an imported module, or an argument is missing.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("class"), str):
        raise InputError(f"{spec!r} names no class; the description was altered")
    with names_from_outside():
        built = import_class(spec["class"])
        if not (isinstance(built, type) and issubclass(built, nn.Module)):
            raise InputError(f"{spec['class']!r} is not an nn.Module class; the description was altered")
        arguments = {name: _rebuilt(value) for name, value in spec.get("arguments", {}).items()}
        takes = {parameter.name for parameter in _parameters(built)}
        arguments |= {name: value for name, value in more.items() if name in takes}
        return _construct(built, spec["class"], arguments)


_missing = object()
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _described(value: Any) -> Any:
    """The value as plain JSON values, or ``_missing`` if it cannot be described."""
    if isinstance(value, (list, tuple, nn.ModuleList)):
        parts = [_described(part) for part in value]
        return _missing if _missing in parts else parts
    if isinstance(value, nn.Module):
        return specification(value) or _missing
    if isinstance(value, dict):
        named = {name: _described(part) for name, part in value.items()}
        return _missing if _missing in named.values() or not all(isinstance(n, str) for n in named) else named
    return value if value is None or isinstance(value, (str, int, float, bool)) else _missing


def _rebuilt(value: Any) -> Any:
    if isinstance(value, list):
        return [_rebuilt(part) for part in value]
    if isinstance(value, dict):
        if value.keys() == {"class", "arguments"}:
            return rebuild(value)
        return {name: _rebuilt(part) for name, part in value.items()}
    return value


def _parameters(cls: type) -> list[inspect.Parameter]:
    # A class without a constructor has the one of nn.Module, which takes no arguments.
    has_constructor = cls.__init__ is not nn.Module.__init__  # type: ignore[misc]
    return [*inspect.signature(cls).parameters.values()] if has_constructor else []


def _construct(cls: type, shown: str, arguments: dict[str, Any]) -> Any:
    parameters = _parameters(cls)
    takes = [p.name for p in parameters if p.kind in _NAMED]
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    for argument in arguments:
        if argument not in takes and not takes_any:
            hint = nearest(argument, takes)
            raise InputError(
                f"{shown} has no argument {argument!r}{hint}; it has {', '.join(takes) or 'no arguments'}"
            )
    needed = [p.name for p in parameters if p.kind in _NAMED and p.default is p.empty]
    if missing := [name for name in needed if name not in arguments]:
        raise InputError(
            f"{shown} needs {', '.join(missing)}; pass {'it' if len(missing) == 1 else 'them'} too"
        )
    return cls(**arguments)


def _contracts(group: str) -> str:
    return " or ".join(contract.__name__ for contract in GROUPS[group])


def _class_of_file(group: str, stem: str) -> type:
    module = import_module(f"torchrec_ext.{group}.{stem}")
    kept = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, GROUPS[group]) and c.__module__ == module.__name__
    ]
    if len(kept) != 1:
        raise TypeError(f"{module.__name__} must define one {_contracts(group)}, not {len(kept)}")
    return kept[0]


def _expect_group(group: str) -> None:
    if group not in GROUPS:
        raise InputError(f"{group!r} is not a plug-in group; groups are {', '.join(GROUPS)}")


def _load(group: str, name: str, points: list[EntryPoint]) -> Any:
    values = sorted({point.value for point in points})
    if len(values) > 1:
        raise InputError(f"several packages provide {group} named {name!r}; choose {' or '.join(values)}")
    return import_class(values[0])
