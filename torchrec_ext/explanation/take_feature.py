"""A batch with a feature of another batch, or with features unknown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.schema import Schema

Jagged = tuple[Tensor, Tensor]
"""Flat values and lengths."""


def take_feature(batch: Batch, other: Batch, name: str, schema: Schema, inputs: Inputs) -> Batch:
    """The batch with a feature of another batch of as many examples.

    Args:
        batch: of B examples.
        other: of B examples.
        name: one of ``inputs.fields`` or ``inputs.dense``.
        schema: of the data.
        inputs: what the model reads.
    """
    if name in inputs.dense:
        start = schema.dense_width(inputs.dense[: inputs.dense.index(name)])
        stop = start + schema.dense_width([name])
        dense = batch.dense.clone()
        dense[:, start:stop] = other.dense[:, start:stop]
        return replace(batch, dense=dense)
    theirs = other.fields.to_dict()[name]

    def change(key: str, found: Jagged) -> Jagged:
        return (theirs.values(), theirs.lengths()) if key == name else found

    return replace(batch, fields=_changed(batch.fields, change))


def unknown_features(batch: Batch, preparation: Preparation, inputs: Inputs) -> Batch:
    """The batch with the unknown id in every field, and every number as that of an unknown id.

    Args:
        batch: of B examples.
        preparation: of the model.
        inputs: what the model reads.
    """

    def change(key: str, found: Jagged) -> Jagged:
        return found[0].new_zeros(len(found[1])), torch.ones_like(found[1])

    schema, dense = preparation.schema, batch.dense.clone()
    entities, start = {f.name: f.entity for f in schema.dense}, 0
    for name in inputs.dense:
        stop = start + schema.dense_width([name])
        sides = preparation.sides.get(entities[name])  # of the context, 0 is unknown
        dense[:, start:stop] = 0.0 if sides is None else torch.tensor(sides.dense[name][0]).to(dense)
        start = stop
    fields = _changed(batch.fields, change) if inputs.fields else batch.fields
    return replace(batch, fields=fields, dense=dense)


def _changed(fields: Any, change: Callable[[str, Jagged], Jagged]) -> Any:
    """Keyed jagged ids, TorchRec's or plain ones, with others in the place of some."""
    found = {key: change(key, (ids.values(), ids.lengths())) for key, ids in fields.to_dict().items()}
    values, lengths = (torch.cat(parts) for parts in zip(*found.values(), strict=True))
    stride = len(lengths) // len(found)
    return type(fields)(keys=list(found), values=values, lengths=lengths, stride=stride)
