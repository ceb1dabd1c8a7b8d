"""Every module that can be named, built in or brought by another package, and what it can do."""

import dataclasses
import inspect
import re
from importlib.metadata import entry_points

from torchrec_ext import plugins
from torchrec_ext.contracts import (
    MaskedEncoder,
    MultiInterestEncoder,
    Scorer,
    SequenceEncoder,
    StreamingEncoder,
    SupervisedTargetAttention,
)


@dataclasses.dataclass(frozen=True)
class ListedModule:
    """What the list says of a module; of one that cannot be loaded no more than its origin and why.

    Args:
        group: of plug-ins, such as ``encoders``.
        name: on the command line.
        origin: ``built in``, or name and version of the distributions that bring it.
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
    """The modules of a group, those that cannot be loaded among them."""
    brought: dict[str, list[str]] = {}
    for point in entry_points(group=f"torchrec_ext.{group}"):
        of = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        brought.setdefault(point.name, []).append(of)
    listed = [_listed(group, name, brought) for name in plugins.names(group)]
    taken = {module.name for module in listed if module.origin == "built in"} & brought.keys()
    reason = "a built-in module has this name; name it as 'package.module:Class'"
    return listed + [
        ListedModule(group, name, " and ".join(brought[name]), error=reason) for name in sorted(taken)
    ]


def _listed(group: str, name: str, brought: dict[str, list[str]]) -> ListedModule:
    origin = " and ".join(brought.get(name, []))
    try:
        found = plugins.find(group, name)
        if found.__module__.startswith("torchrec_ext."):
            origin = "built in"
        text = inspect.getdoc(found) or ""
        return ListedModule(
            group,
            name,
            origin,
            found.__name__,
            text.partition("\n")[0],
            _paper(text),
            _supports(found),
            dict(getattr(found, "cannot", {})),
        )
    except Exception as error:  # whatever somebody else's package raises must not end the list
        return ListedModule(group, name, origin, error=" ".join(f"{type(error).__name__}: {error}".split()))


def _paper(text: str) -> str:
    """``"Title" (Authors Year)`` of each paper the docstring names as its source."""
    found = re.findall(r'[Ff]rom ("[^"]+" \([^()]+ \d{4}\))', " ".join(text.split()))
    return "; ".join(found)


def _supports(cls: type) -> tuple[str, ...]:
    can = {
        "causal": issubclass(cls, SequenceEncoder) and getattr(cls, "causal", None) is True,
        "streams": issubclass(cls, StreamingEncoder),
        "times": getattr(cls, "reads_times", False) is True,
        "masked": issubclass(cls, MaskedEncoder),
        "multi-interest": issubclass(cls, MultiInterestEncoder),
        "indexable": issubclass(cls, Scorer) and getattr(cls, "indexable", None) is True,
        "own loss": issubclass(cls, SupervisedTargetAttention),
    }
    return tuple(name for name, does in can.items() if does)
