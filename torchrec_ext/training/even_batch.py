"""even_batch(): a batch of as many examples as the other ranks have."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from torchrec_ext.batch import Batch, Inputs


def even_batch(batch: Batch, slots: int, inputs: Inputs) -> Batch:
    """Adds examples that count for nothing, until there are ``slots``.

    TorchRec's backward pass of a row-wise pooled table gathers gradients of as many examples from each
    rank; gloo refuses other numbers.

    Args:
        batch: of B examples.
        slots: B of the rank that has most.
        inputs: what the model wants.
    """
    missing = slots - len(batch.dense)
    if not missing:
        return batch
    assert batch.labels is not None
    ranking = batch.labels.dim() == 2
    sequences, labels, weights = batch.sequences, batch.labels, batch.weights
    if ranking:  # each pair's item is a candidate: here the unknown one
        own = torch.ones_like(labels) if weights is None else weights
        labels, weights = pad(labels, (0, 0, 0, missing)), pad(own, (0, 0, 0, missing))
    elif not inputs.per_event_labels:  # else an empty history has no target
        labels = pad(labels, (0, missing), value=-1)
        weights = None if weights is None else pad(weights, (0, missing))
    return replace(
        batch,
        fields=_longer(batch.fields, missing),
        sequences=_longer(sequences, missing, own="candidates" if ranking else None),
        dense=pad(batch.dense, (0, 0, 0, missing)),
        labels=labels,
        weights=weights,
    )


def _longer(ids: KeyedJaggedTensor, missing: int, own: str | None = None) -> KeyedJaggedTensor:
    """Ids of as many more examples: none, but of key ``own`` the unknown id."""
    values: list[Tensor] = []
    lengths: list[Tensor] = []
    for key in ids.keys():  # noqa: SIM118
        one = ids[key]
        more = missing if key == own else 0
        values.append(pad(one.values(), (0, more)))
        lengths.append(pad(one.lengths(), (0, missing), value=1 if key == own else 0))
    return KeyedJaggedTensor(
        keys=ids.keys(),
        values=torch.cat(values) if values else ids.values(),
        lengths=torch.cat(lengths) if lengths else ids.lengths(),
        stride=ids.stride() + missing,
    )
