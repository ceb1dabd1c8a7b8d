"""Plug-ins by name: built in, by entry point, or as ``package.module:Class``; and back to a description."""

import difflib
import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from torch import nn

from torchrec_ext.contracts import GROUPS
from torchrec_ext.errors import InputError


def names(group: str) -> list[str]:
    """Names of the plug-ins of a group: built-in ones (the file's name), then those of entry points.

    Args:
        group: ``interactions``, ``encoders``, ``target_attention`` or ``scorers``.
    """
    return [*_built_in(group), *sorted(_entry_points(group).keys() - _built_in(group))]


def find(group: str, name: str) -> type[nn.Module]:
    """The class of that name.

    Args:
        group: see :func:`names`.
        name: a built-in name, an entry point's name, or ``package.module:Class``.

    Raises:
        InputError: if there is none, with the names there are, or if it breaks the group's contract.

    Example:
        >>> find("interactions", "dot").__name__
        'DotInteraction'
    """
    if ":" in name:
        found = _imported(name)
    elif name in _built_in(group):
        found = _class_of_file(group, name)
    elif name in _entry_points(group):
        found = _entry_points(group)[name].load()
    else:
        close = difflib.get_close_matches(name, names(group), n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise InputError(
            f"no {group} named {name!r}{hint}; there are {', '.join(names(group))}, "
            "or name your own as 'package.module:Class'"
        )
    if not (isinstance(found, type) and issubclass(found, GROUPS[group])):
        raise InputError(
            f"{name!r} is {found!r}, which is no subclass of contracts.{GROUPS[group].__name__}; "
            "subclass it and keep its promises"
        )
    return found


def build(group: str, name: str, **arguments: Any) -> nn.Module:
    """Builds a plug-in by name, checking the arguments against its constructor.

    Raises:
        InputError: for an argument that the constructor does not take, with the nearest it does.
    """
    cls = find(group, name)
    takes = _parameters(cls)
    for argument in arguments:
        if argument not in takes:
            close = difflib.get_close_matches(argument, takes, n=1)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{name} takes no {argument!r}{hint}; it takes {', '.join(takes)}")
    return cls(**arguments)


def make(group: str, given: Any, **sizes: int) -> nn.Module:
    """The plug-in a model was given: an instance as it is, a class or a name built with ``sizes``."""
    if isinstance(given, str):
        return build(group, given, **sizes)
    return given(**sizes) if isinstance(given, type) else given


def specification(module: nn.Module, *, without: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """How to build a module again: its class and the arguments it keeps as attributes.

    Args:
        module: the module.
        without: arguments that :func:`rebuild` will be handed, since they are no plain values.

    Returns:
        ``{"class": "package.module:Class", "arguments": {...}}`` of plain JSON values, or None if an
        argument is not kept under its own name or is no plain value.

    Example:
        >>> from torchrec_ext.encoders import GRU
        >>> specification(GRU(dim=8))["class"]
        'torchrec_ext.encoders.gru:GRU'
    """
    cls = type(module)
    arguments: dict[str, Any] = {}
    for name in _parameters(cls):
        if name in without:
            continue
        value = getattr(module, name, _missing)
        if isinstance(value, nn.Module):
            value = specification(value)
            if value is None:
                return None
        if value is _missing or not _plain(value):
            return None
        arguments[name] = value
    return {"class": f"{cls.__module__}:{cls.__qualname__}", "arguments": arguments}


def rebuild(spec: dict[str, Any], **more: Any) -> nn.Module:
    """Builds what :func:`specification` described; ``more`` are arguments that are not plain values."""
    arguments = {
        k: rebuild(v) if isinstance(v, dict) and v.keys() == {"class", "arguments"} else v
        for k, v in spec["arguments"].items()
    }
    built = _imported(spec["class"])
    if not (isinstance(built, type) and issubclass(built, nn.Module)):
        raise InputError(f"{spec['class']!r} is no nn.Module class; the description was altered")
    return built(**arguments, **more)


def hand_on(package: str) -> tuple[Callable[[str], type], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a plug-in folder: hands on the class of each of its files.

    A new module then needs no second file touched.
    """
    group = package.rpartition(".")[2]

    def get(name: str) -> type:
        for stem in _built_in(group):
            found = _class_of_file(group, stem)
            if found.__name__ == name:
                return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listing() -> list[str]:
        return sorted(_class_of_file(group, stem).__name__ for stem in _built_in(group))

    return get, listing


_missing = object()


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return value is None or isinstance(value, (str, int, float, bool))


def _parameters(cls: type) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in inspect.signature(cls).parameters.values() if p.kind in kinds]


def _built_in(group: str) -> list[str]:
    if group not in GROUPS:
        raise InputError(f"no plug-in group {group!r}; groups are {', '.join(GROUPS)}")
    folder = import_module(f"torchrec_ext.{group}")
    return sorted(m.name for m in pkgutil.iter_modules(folder.__path__))


def _class_of_file(group: str, stem: str) -> type[nn.Module]:
    module = import_module(f"torchrec_ext.{group}.{stem}")
    kept = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, GROUPS[group]) and c.__module__ == module.__name__
    ]
    if len(kept) != 1:
        raise TypeError(f"{module.__name__} must define one {GROUPS[group].__name__}, not {len(kept)}")
    return kept[0]


def _entry_points(group: str) -> dict[str, Any]:
    return {e.name: e for e in entry_points(group=f"torchrec_ext.{group}")}


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"cannot import {path!r}: {error}; install its package or mend the name") from error
    return found
