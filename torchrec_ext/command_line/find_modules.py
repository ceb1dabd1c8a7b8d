"""Every module that can be named, built in or from another package, and what it can do."""

import dataclasses
import inspect
import re
from importlib import import_module

from torchrec_ext import plugin_names
from torchrec_ext.command_line.read_class import DeclaredClass
from torchrec_ext.command_line.read_plugin import read_plugin
from torchrec_ext.command_line.read_source import UnreadableError

_ATTRIBUTES = ("causal", "reads_times", "indexable", "cannot")


@dataclasses.dataclass(frozen=True)
class ListedModule:
    """A module of the list; of one that cannot be loaded, only its origin and the error are known.

    Args:
        group: of plug-ins, such as ``encoders``.
        name: on the command line.
        origin: ``built in``, or name and version of the distributions that provide it.
        cls: name of the class.
        summary: first line of its docstring.
        paper: title, authors and year.
        supports: what it can do beyond its group's contract.
        cannot: promises of the contract tests that it does not keep, with reasons.
        error: why it cannot be loaded.
    """

    group: str
    name: str
    origin: str
    cls: str = ""
    summary: str = ""
    paper: str = ""
    supports: tuple[str, ...] = ()
    cannot: dict[str, str] = dataclasses.field(default_factory=dict)
    error: str = ""


def find_modules(group: str) -> list[ListedModule]:
    """The modules of a group, those that cannot be loaded among them.

    Sources are read, not imported, so that the list is quick. A class whose source does not say everything
    is imported.
    """
    points = plugin_names.entry_points_of(group)
    origins = {
        name: " and ".join(f"{p.dist.name} {p.dist.version}" if p.dist else p.value for p in same)
        for name, same in points.items()
    }
    built_in = plugin_names.built_in(group)
    listed = [_listed(group, name, "built in") for name in built_in]
    listed += [_listed(group, name, origins[name]) for name in sorted(points.keys() - built_in)]
    reason = "a built-in module has this name; name it as 'package.module:Class'"
    taken = sorted(points.keys() & set(built_in))
    return listed + [ListedModule(group, name, origins[name], error=reason) for name in taken]


def _listed(group: str, name: str, origin: str) -> ListedModule:
    try:
        try:
            declared = read_plugin(group, name, _ATTRIBUTES)
        except UnreadableError:
            declared = _imported(group, name)
    except Exception as error:  # whatever somebody else's package raises must not end the list
        return ListedModule(group, name, origin, error=" ".join(f"{type(error).__name__}: {error}".split()))
    return ListedModule(
        group,
        name,
        origin,
        declared.path.rpartition(".")[2],
        declared.doc.partition("\n")[0],
        _paper(declared.doc),
        _supports(declared),
        dict(declared.attributes.get("cannot", {})),
    )


def _imported(group: str, name: str) -> DeclaredClass:
    """The plug-in of that name by importing it; raises whatever is wrong with it."""
    plugins = import_module("torchrec_ext.plugins")  # which imports torch
    found = plugins.find(group, name)
    return DeclaredClass(
        f"{found.__module__}.{found.__qualname__}",
        inspect.getdoc(found) or "",
        tuple(f"{c.__module__}.{c.__qualname__}" for c in inspect.getmro(found)),
        {attribute: getattr(found, attribute) for attribute in _ATTRIBUTES if hasattr(found, attribute)},
    )


def _paper(text: str) -> str:
    """``"Title" (Authors Year)`` of each paper the docstring names as its source."""
    found = re.findall(r'[Ff]rom ("[^"]+" \([^()]+ \d{4}\))', " ".join(text.split()))
    return "; ".join(found)


def _supports(declared: DeclaredClass) -> tuple[str, ...]:
    def is_a(contract: str) -> bool:
        return any(
            path.startswith("torchrec_ext.contracts.") and path.endswith(f".{contract}")
            for path in declared.ancestors
        )

    def says(attribute: str) -> bool:
        return declared.attributes.get(attribute) is True

    can = {
        "causal": is_a("SequenceEncoder") and says("causal"),
        "streams": is_a("StreamingEncoder"),
        "times": says("reads_times"),
        "masked": is_a("MaskedEncoder"),
        "multi-interest": is_a("MultiInterestEncoder"),
        "indexable": is_a("Scorer") and says("indexable"),
        "own loss": is_a("SupervisedTargetAttention"),
    }
    return tuple(name for name, does in can.items() if does)
