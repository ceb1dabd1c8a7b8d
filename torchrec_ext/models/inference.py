"""Runs a model outside training: its inputs, its device, and no gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from torchrec_ext import contracts
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.errors import InputError


def inputs_of(model: nn.Module) -> Inputs:
    """The inputs that a model reads.

    Raises:
        InputError: if it is neither a retriever nor a ranker.
    """
    if isinstance(model, contracts.Retriever | contracts.Ranker):
        return model.inputs
    raise InputError(
        "model must be a contracts.Retriever (such as TwoTower) or a contracts.Ranker (such as Ranker), "
        f"received a {type(model).__name__}"
    )


def on_device(batch: Batch, model: nn.Module) -> Batch:
    """Moves a batch to the device of the model.

    Raises:
        InputError: if the tables of the model have no weights yet.
    """
    devices = {p.device.type: p.device for p in model.parameters()}
    if "meta" in devices:
        raise InputError(
            f"the tables of the {type(model).__name__} have no weights yet; train it with training.fit, "
            "or shard it with distributed.shard"
        )
    return batch.to(next(iter(devices.values()), torch.device("cpu")))


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the former mode is restored afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
