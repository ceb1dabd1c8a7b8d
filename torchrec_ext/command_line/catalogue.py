"""How long lists may be, checked before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

from torchrec_ext.errors import InputError
from torchrec_ext.schema import Schema


def expect_k(k: Sequence[int] | int, items: int) -> None:
    """Refuses list lengths that the catalogue cannot fill.

    Args:
        k: one or several list lengths.
        items: number of items of the catalogue.

    Raises:
        InputError: if there are no items or no length, or one is not from 1 to ``items``.

    Example:
        >>> expect_k((1, 40), items=40)
    """
    if items < 1:
        raise InputError("the data of the run has no items, so there is nothing to recommend; use predict.py")
    lengths = (k,) if isinstance(k, int) else tuple(k)
    if not lengths:
        raise InputError(f"--k is empty; give a list length from 1 to the number of items, {items:,}")
    for length in lengths:
        if not 1 <= length <= items:
            raise InputError(
                f"--k must be from 1 to the number of items, {items:,}; received {length:,}: give --k "
                f"{min(10, items)}, for instance"
            )


def saved_schema(checkpoint: Path) -> Schema:
    """The schema of a checkpoint that :func:`~torchrec_ext.training.find_checkpoint` found whole."""
    return Schema.from_json((checkpoint / "preparation" / "schema.json").read_text())


def catalogue_size(schema: Schema) -> int:
    """Number of items of the catalogue; row 0 of the table is for the unknown ones."""
    return schema.table("item").rows - 1
