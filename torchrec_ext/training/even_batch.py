"""even_batch(): pads a batch to the number of examples of the other ranks."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from torchrec_ext.batch import Batch, Inputs


def even_batch(batch: Batch, slots: int, inputs: Inputs) -> Batch:
    """Adds examples of weight zero until there are ``slots``.

    TorchRec's backward pass of a row-wise pooled table gathers gradients of the same number of examples
    from each rank; gloo refuses uneven numbers.

    Args:
        batch: of B examples; B may be 0.
        slots: the largest B of all ranks.
        inputs: what the model reads.

    Returns:
        A batch of ``slots`` examples with the labels of the B examples; the batch itself if B is
        ``slots``.
    """
    missing = slots - len(batch.dense)
    if not missing:
        return batch
    assert batch.labels is not None
    ranking = batch.labels.dim() == 2
    labels, weights, candidate_lengths = batch.labels, batch.weights, batch.candidate_lengths
    if ranking:  # each pair's item is a candidate: here the unknown one, as are its features
        candidate_lengths = {name: pad(its, (0, missing), value=1) for name, its in candidate_lengths.items()}
        weights = torch.ones_like(labels) if weights is None else weights
        labels, weights = pad(labels, (0, 0, 0, missing)), pad(weights, (0, 0, 0, missing))
    elif not inputs.per_event_labels:  # otherwise labels belong to events, and an empty history has none
        labels = pad(labels, (0, missing), value=-1)
        weights = None if weights is None else pad(weights, (0, missing))
    return replace(
        batch,
        fields=_extended(batch.fields, missing),
        sequences=_extended(
            batch.sequences,
            slots - batch.sequences.stride(),
            with_unknown_id="candidates" if ranking else None,
        ),
        candidate_lengths=candidate_lengths,
        dense=pad(batch.dense, (0, 0, 0, missing)),
        labels=labels,
        weights=weights,
    )


def _extended(ids: KeyedJaggedTensor, missing: int, with_unknown_id: str | None = None) -> KeyedJaggedTensor:
    """Adds examples without ids; for keys that begin with a word each of them has the unknown id."""
    values: list[Tensor] = []
    lengths: list[Tensor] = []
    for key in ids.keys():  # noqa: SIM118
        one, number = ids[key], int(with_unknown_id is not None and key.startswith(with_unknown_id))
        values.append(pad(one.values(), (0, missing * number)))
        lengths.append(pad(one.lengths(), (0, missing), value=number))
    return KeyedJaggedTensor(
        keys=ids.keys(),
        values=torch.cat(values) if values else ids.values(),
        lengths=torch.cat(lengths) if lengths else ids.lengths(),
        stride=ids.stride() + missing,
    )
