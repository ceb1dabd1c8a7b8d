"""RecBole's layers from embedded histories to states, and our encoders with the same arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext import plugins


@dataclass(frozen=True)
class Rival:
    """One of RecBole's models, and the arguments of ours for a comparison.

    Args:
        encoder: the name of our encoder.
        model: the name of RecBole's model; its file has the same name in lower case.
        arguments: of RecBole's model: those of its ``properties/model``, except for the widths, which the
            benchmark sets.
        our_arguments: width -> arguments of our encoder.
        longest: events that RecBole pads to, if not those of the benchmark.
        note: a remark for the table.
    """

    encoder: str
    model: str
    arguments: dict[str, Any]
    our_arguments: Callable[[int], dict[str, Any]]
    longest: int | None = None
    note: str = ""


_CASER = {"nh": 8, "nv": 4, "dropout_prob": 0.4, "reg_weight": 1e-4}
_OUR_CASER = {"horizontal_filters": 8, "vertical_filters": 4, "dropout": 0.4}
RIVALS = [
    Rival(
        "gru",
        "GRU4Rec",
        {"num_layers": 1, "dropout_prob": 0.3},
        lambda dim: {"hidden": dim, "layers": 1, "dropout": 0.3},
    ),
    Rival(
        "nextitnet",
        "NextItNet",
        {"kernel_size": 3, "block_num": 5, "dilations": [1, 4], "reg_weight": 1e-5},
        # A block of RecBole has two convolutions, the second with twice the dilation.
        lambda dim: {"layers": 10, "dilations": (1, 2, 4, 8), "kernel_size": 3, "dropout": 0.0},
    ),
    # RecBole's filters have every height up to the padded length of a history; ours see a window.
    Rival("caser", "Caser", _CASER, lambda dim: _OUR_CASER, note="our window: 5"),
    # Its notes recommend a length of about 10, at which ours has the same filters.
    Rival("caser", "Caser", _CASER, lambda dim: {**_OUR_CASER, "window": 10}, 10, "our window: 10"),
]


class RecBole(nn.Module):
    """A model of RecBole that reads vectors instead of looking them up.

    Args:
        rival: the model.
        longest: ``MAX_ITEM_LIST_LENGTH``: events that every history is padded to.
        dim: width of an event vector, and of RecBole's hidden layers.
    """

    def __init__(self, rival: Rival, longest: int, dim: int) -> None:
        super().__init__()
        found = import_module(f"recbole.model.sequential_recommender.{rival.model.lower()}")
        # Importing any of its models enables this for the whole process, which slows down torch.
        torch.autograd.set_detect_anomaly(False)
        config = {
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "LIST_SUFFIX": "_list",
            "ITEM_LIST_LENGTH_FIELD": "item_length",
            "NEG_PREFIX": "neg_",
            "MAX_ITEM_LIST_LENGTH": longest,
            "device": "cpu",
            "loss_type": "CE",
            "embedding_size": dim,
            "hidden_size": dim,
            **rival.arguments,
        }
        self.model = getattr(found, rival.model)(config, SimpleNamespace(num=lambda field: 2, user_num=2))
        self.model.item_embedding = nn.Identity()
        self.kind = rival.model
        if self.kind == "Caser":
            self.model.user_embedding = nn.Identity()

    def forward(self, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, longest, D)`` to ``(B, D)``."""
        if self.kind == "Caser":
            return self.model(torch.zeros_like(events_BTD[:, 0]), events_BTD)
        return self.model(events_BTD, lengths_B) if self.kind == "GRU4Rec" else self.model(events_BTD)


def build_both(
    rival: Rival, longest: int, inputs: tuple[Tensor, ...]
) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
    """Builds ours and RecBole's, with the inputs of each: RecBole's are padded to ``longest``.

    Args:
        rival: the model of RecBole.
        longest: see :class:`RecBole`.
        inputs: of ours: ``(B, T, D)`` events, T being the longest history's length, ``(B,)`` lengths, times.
    """
    events_BTD, lengths_B = inputs[:2]
    batch, events, dim = events_BTD.shape
    ours = plugins.build("encoders", rival.encoder, dim=dim, **rival.our_arguments(dim))
    with torch.no_grad():
        padded = torch.cat([events_BTD, events_BTD.new_zeros(batch, longest - events, dim)], 1)
    theirs = RecBole(rival, longest, dim)
    return {
        "ours": (ours.to(events_BTD.device), inputs),
        "recbole": (theirs.to(events_BTD.device), (padded.requires_grad_(), lengths_B)),
    }
