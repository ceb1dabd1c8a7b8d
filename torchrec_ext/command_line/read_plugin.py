"""A plug-in by name, as its source declares it."""

from torchrec_ext import plugin_names
from torchrec_ext.command_line.read_class import DeclaredClass, classes_of, read_class, read_tuples
from torchrec_ext.command_line.read_source import UnreadableError


def groups() -> dict[str, tuple[str, ...]]:
    """Plug-in groups and the paths of their contracts: ``contracts.GROUPS``, read without importing torch."""
    return read_tuples("torchrec_ext.contracts.groups", "GROUPS")


def read_plugin(group: str, name: str, attributes: tuple[str, ...] = ()) -> DeclaredClass:
    """The class that :func:`torchrec_ext.plugins.find` would import.

    Args:
        group: see :func:`torchrec_ext.plugins.names`.
        name: see :func:`torchrec_ext.plugins.find`.
        attributes: see :func:`~torchrec_ext.command_line.read_class.read_class`.

    Raises:
        UnreadableError: if the source does not show that there is one class that keeps the contract;
            importing it shows what is wrong.

    Example:
        >>> read_plugin("interactions", "dot").path
        'torchrec_ext.interactions.dot.DotInteraction'
    """
    if ":" in name:
        paths = [name.replace(":", ".")]
    elif name in plugin_names.built_in(group):
        paths = classes_of(f"torchrec_ext.{group}.{name}")
    else:
        points = plugin_names.entry_points_of(group).get(name, [])
        paths = list({point.value.replace(":", ".") for point in points})
    classes = [read_class(path, attributes) for path in paths]
    kept = [c for c in classes if not set(groups()[group]).isdisjoint(c.ancestors)]
    if len(kept) != 1:
        raise UnreadableError(f"{len(kept)} classes keep the contract")
    return kept[0]
