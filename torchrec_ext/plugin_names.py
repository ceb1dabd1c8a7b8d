"""Finds the names of plug-ins, built in and of entry points, without importing them or torch."""

import pkgutil
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path


def names(group: str) -> list[str]:
    """Built-in names first, then those of entry points; :func:`torchrec_ext.plugins.names` explains them.

    Args:
        group: such as ``encoders``.
    """
    ours = built_in(group)
    return [*ours, *sorted(entry_points_of(group).keys() - ours)]


def built_in(group: str) -> list[str]:
    """Names of the group's files in this package, sorted; a file whose name begins with ``_`` has none.

    Example:
        >>> built_in("heads")
        ['esmm', 'mmoe', 'ple', 'shared_bottom', 'single']
    """
    folder = Path(__file__).parent / group
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def entry_points_of(group: str) -> dict[str, list[EntryPoint]]:
    """Entry points of a group by name; a name has several if several packages use it."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"torchrec_ext.{group}"):
        found.setdefault(point.name, []).append(point)
    return found
