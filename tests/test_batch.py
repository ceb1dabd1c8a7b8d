import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

import torchrec_ext.data.batching.batches  # noqa: F401  registers Batch with TorchRec
from torchrec_ext.batch import Batch


def _batch() -> Batch:
    jagged = KeyedJaggedTensor(["user"], torch.tensor([1, 2]), lengths=torch.tensor([1, 1]))
    return Batch(
        fields=jagged,
        sequences=jagged,
        dense=torch.ones(2, 1),
        candidate_lengths={"genres": torch.tensor([1, 0])},
        total=torch.tensor(2.0),
    )


def test_it_is_what_torchrecs_pipelines_accept():
    assert isinstance(_batch(), Pipelineable)


def test_to_moves_every_tensor_and_leaves_none_out():
    moved = _batch().to(device=torch.device("meta"), non_blocking=True)
    assert moved.dense.device.type == "meta"
    assert moved.fields.values().device.type == "meta"
    assert moved.sequences.lengths().device.type == "meta"
    assert moved.candidate_lengths["genres"].device.type == "meta"
    assert moved.total is not None and moved.total.device.type == "meta"
    assert moved.labels is None and moved.log_q is None
