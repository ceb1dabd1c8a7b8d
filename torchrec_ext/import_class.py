"""Imports the class that ``package.module:Class`` names; a saved description cannot import what it likes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any

from torchrec_ext.contracts import GROUPS
from torchrec_ext.errors import InputError
from torchrec_ext.plugin_names import entry_points_of

_from_outside = ContextVar("_from_outside", default=False)


@contextmanager
def names_from_outside() -> Iterator[None]:
    """Within it, names come from a file, so :func:`import_class` imports only what is trusted already."""
    token = _from_outside.set(True)
    try:
        yield
    finally:
        _from_outside.reset(token)


def import_class(path: str) -> Any:
    """The class, or whatever else has that name.

    Args:
        path: ``package.module:Class``.

    Raises:
        InputError: if there is none, or if a file names a module that is not of this package, nor imported by
            an installed plug-in or the program itself.

    Example:
        >>> import_class("torchrec_ext.encoders.gru:GRU").__name__
        'GRU'
    """
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{name}".split(".")):
        raise InputError(f"{path!r} should have the form 'package.module:Class'")
    try:
        if _from_outside.get() and not _is_trusted(module):
            raise InputError(
                f"the saved model names {path!r}, and a file does not choose what is imported; if you trust "
                f"{module}, import it first, or name it with --imports"
            )
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"cannot import {path!r}: {error}; install its package or correct the name"
        ) from error
    return found


def _is_trusted(module: str) -> bool:
    """Whether a module is of this package or is imported, once the plug-ins of its package are."""
    top = module.partition(".")[0]
    if module in sys.modules or top == "torchrec_ext":
        return True
    for point in (p for group in GROUPS for points in entry_points_of(group).values() for p in points):
        # a download may bring an entry point too, which Python finds in the current folder
        installed = point.dist and Path(str(point.dist.locate_file(""))).resolve() != Path.cwd()
        if installed and point.module.partition(".")[0] == top:
            import_module(point.module)
    return module in sys.modules
