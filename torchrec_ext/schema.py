"""Schema: the features of the data and their embedding tables; to and from JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from torchrec_ext.errors import InputError

Entity = Literal["user", "item", "context"]

_Named = TypeVar("_Named", "Table", "Feature", "DenseFeature")


@dataclass(frozen=True)
class Table:
    """One embedding table. Row 0 stands for unknown ids.

    Args:
        name: name of the table, a Python identifier.
        rows: number of rows, including row 0.
    """

    name: str
    rows: int


@dataclass(frozen=True)
class Feature:
    """One categorical feature: a column whose values are rows of a table.

    Args:
        name: key of the feature in the jagged tensors, such as ``item_genres``.
        table: name of the table it looks up.
        entity: the feature describes the user, the item or the event (context).
        column: the column of the user's data it is read from.
        many: whether a value is a list of ids, whose vectors are averaged, or encoded in their order.
    """

    name: str
    table: str
    entity: Entity
    column: str
    many: bool = False


@dataclass(frozen=True)
class DenseFeature:
    """One numeric feature: a number, or a vector of some width.

    Args:
        name: name of the feature, such as ``user_age``.
        entity: the feature describes the user, the item or the event (context).
        column: the column of the user's data it is read from.
        width: number of floats per value, such as 128 for a vector.
    """

    name: str
    entity: Entity
    column: str
    width: int = 1


@dataclass(frozen=True)
class Schema:
    """Which tables there are and which features look them up.

    Args:
        tables: the embedding tables; ``user`` and ``item`` are always among them.
        features: the categorical features.
        dense: the numeric features.

    Raises:
        InputError: if a name is used twice or is not an identifier, or if the table of a feature is missing.

    Example:
        >>> schema = Schema(
        ...     tables=(Table("user", 11), Table("item", 21)),
        ...     features=(Feature("user", "user", "user", "uid"), Feature("item", "item", "item", "sku")),
        ... )
        >>> Schema.from_json(schema.to_json()) == schema
        True
        >>> schema.table("item").rows
        21
    """

    tables: tuple[Table, ...]
    features: tuple[Feature, ...]
    dense: tuple[DenseFeature, ...] = ()

    def __post_init__(self) -> None:
        for kind, names in (
            ("table", [t.name for t in self.tables]),
            ("feature", [f.name for f in self.features] + [d.name for d in self.dense]),
        ):
            for name in names:
                if not name.isidentifier():
                    raise InputError(
                        f"{kind} name {name!r} is not an identifier; use letters, digits and underscores"
                    )
                if names.count(name) > 1:
                    raise InputError(f"{kind} name {name!r} is used twice in the schema; rename one")
        known = {t.name for t in self.tables}
        for feature in self.features:
            if feature.table not in known:
                raise InputError(
                    f"feature {feature.name!r} looks up table {feature.table!r}, which is not in the "
                    f"schema; tables are {', '.join(sorted(known))}"
                )

    def table(self, name: str) -> Table:
        """The table of that name; raises InputError with the existing names."""
        return _named(self.tables, name, "table")

    def feature(self, name: str) -> Feature:
        """The categorical feature of that name; raises InputError with the existing names."""
        return _named(self.features, name, "feature")

    def features_of(self, *entities: Entity) -> tuple[str, ...]:
        """Names of the categorical features of these entities, in schema order."""
        return tuple(f.name for f in self.features if f.entity in entities)

    def dense_of(self, *entities: Entity) -> tuple[str, ...]:
        """Names of the numeric features of these entities, in schema order."""
        return tuple(d.name for d in self.dense if d.entity in entities)

    def of(self, *entities: Entity) -> "tuple[Feature | DenseFeature, ...]":
        """The features of both kinds of these entities, the categorical ones first."""
        both: tuple[Feature | DenseFeature, ...] = (*self.features, *self.dense)
        return tuple(f for f in both if f.entity in entities)

    def dense_width(self, names: Sequence[str]) -> int:
        """Total width of these numeric features."""
        return sum(d.width for d in self.dense if d.name in names)

    def to_json(self) -> str:
        """The schema as a JSON text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """Reads what :meth:`to_json` wrote."""
        raw = json.loads(text)
        return cls(
            tables=tuple(Table(**t) for t in raw["tables"]),
            features=tuple(Feature(**f) for f in raw["features"]),
            dense=tuple(DenseFeature(**d) for d in raw["dense"]),
        )


def _named(things: Sequence[_Named], name: str, kind: str) -> _Named:
    for thing in things:
        if thing.name == name:
            return thing
    raise InputError(
        f"no {kind} {name!r} in the schema; there are {', '.join(t.name for t in things) or 'none'}"
    )


def expect_schema(schema: object) -> None:
    """Refuses what is not a :class:`Schema`.

    Raises:
        InputError: with the remedy.
    """
    if not isinstance(schema, Schema):
        raise InputError(f"schema should be a Schema, received {type(schema).__name__}; pass train.schema")


def expect_names(argument: str, names: object) -> None:
    """Refuses one name where several are expected: a string would be read letter by letter.

    Raises:
        InputError: with the remedy.

    Example:
        >>> expect_names("query_fields", "user")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: query_fields should be a list of names, received 'user'; pass ['user']
    """
    if isinstance(names, str):
        raise InputError(f"{argument} should be a list of names, received {names!r}; pass [{names!r}]")
