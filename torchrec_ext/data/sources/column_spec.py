"""A column of a table: our name, the table's name of it, and what its values are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torchrec_ext.errors import InputError

Kind = Literal["id", "category", "categories", "number", "vector", "time", "type", "auto"]
Unit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True)
class Column:
    """What one column of a table holds.

    Args:
        name: our name of it.
        source: the table's name of it.
        kind: ``id`` of a user or an item, never changed on the way; ``category``, one value;
            ``categories``, a list of values; ``number``; ``vector``, a list of numbers of one width;
            ``time``; ``type``, the type of an event; ``auto``, kept as it is, to be decided later from
            the whole column.
        needed: whether a row without it is bad.
        separator: what stands between the values of a list where the table holds it as text.
        unit: of times that are numbers; None finds it from the first block.
        width: of vectors.
        values: the table's types of event to ours; a type that is not among them is bad. None keeps them.

    Raises:
        InputError: for an empty name, an unknown kind or unit, or a setting that does not fit the kind.

    Example:
        >>> Column("timestamp", "ts", "time", needed=True, unit="ms").unit
        'ms'
        >>> Column("embedding", "emb", "vector")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: column 'embedding' is a vector of width None; give the width, at least 1
    """  # noqa: E501

    name: str
    source: str
    kind: Kind
    needed: bool = False
    separator: str = "|"
    unit: Unit | None = None
    width: int | None = None
    values: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(n, str) and n for n in (self.name, self.source)):
            raise InputError(
                f"a column has our name and the table's, received {self.name!r} and {self.source!r}; "
                "give both"
            )
        if self.kind not in get_args(Kind):
            raise InputError(
                f"column {self.name!r} is of kind {self.kind!r}; kinds are {', '.join(get_args(Kind))}"
            )
        if not isinstance(self.needed, bool):
            raise InputError(
                f"needed of column {self.name!r} should be true or false, received {self.needed!r}"
            )
        if not isinstance(self.separator, str) or not self.separator:
            raise InputError(
                f"column {self.name!r} has the separator {self.separator!r}; give a word, such as '|'"
            )
        if self.unit is not None and (self.kind != "time" or self.unit not in get_args(Unit)):
            raise InputError(
                f"column {self.name!r} of kind {self.kind!r} has the unit {self.unit!r}; units are "
                f"{', '.join(get_args(Unit))}, and only times have one"
            )
        if self.kind == "vector":
            if not isinstance(self.width, int) or self.width < 1:
                raise InputError(
                    f"column {self.name!r} is a vector of width {self.width!r}; give the width, at least 1"
                )
        elif self.width is not None:
            raise InputError(
                f"column {self.name!r} of kind {self.kind!r} has the width {self.width!r}; only vectors "
                "have one"
            )
        if self.values is not None and (self.kind != "type" or not _is_map(self.values)):
            raise InputError(
                f"column {self.name!r} of kind {self.kind!r} has values {self.values!r}; only types of "
                "events have such a map, the table's types to ours, with at least one entry"
            )


def _is_map(values: object) -> bool:
    return isinstance(values, Mapping) and bool(values) and all(isinstance(v, str) for v in values.values())
