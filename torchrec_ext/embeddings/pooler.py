"""Pooler: an encoder makes one vector of a value of several ids, such as the words of a title."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from torchrec_ext import plugins
from torchrec_ext.contracts import SequenceEncoder
from torchrec_ext.embeddings.last_state import last_state
from torchrec_ext.embeddings.pad_history import pad_history
from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import JaggedTensor

Poolers: TypeAlias = Mapping[str, SequenceEncoder | Callable[..., SequenceEncoder] | str]
"""An encoder by the name of a feature."""


class Pooler(nn.Module):
    """The ids of a value in their order, such as words, to one vector: the encoder's state at the last one.

    Args:
        encoder: of ids instead of events.
        dim: D, width of the result; a wider or narrower state is projected to it, without a bias.

    Example:
        >>> from torchrec_ext.encoders import MeanPool
        >>> words_NTD = torch.tensor([[[1.0], [3.0]], [[5.0], [0.0]]])
        >>> Pooler(MeanPool(1), 1)(words_NTD, torch.tensor([2, 1])).tolist()
        [[2.0], [5.0]]
    """

    def __init__(self, encoder: SequenceEncoder, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        out_dim = encoder.out_dim
        self.project = nn.Identity() if out_dim == dim else nn.Linear(out_dim, dim, bias=False)

    def forward(self, words_NTD: Tensor, lengths_N: Tensor) -> Tensor:
        """Vectors of ids to those of values.

        Args:
            words_NTD: ``(N, T, D)`` vectors of the ids of each value, padded on the right.
            lengths_N: ``(N,)`` int64 number of ids of each value.

        Returns:
            ``(N, D)``, zeros for a value without ids.
        """
        return self.project(last_state(self.encoder(words_NTD, lengths_N), lengths_N))


class PooledFields(nn.Module):
    """The fields that a collection has pooled and those that an encoder pools, in the order of the model.

    Args:
        names: of all of them.
        poolers: of the latter and perhaps of other features.
    """

    def __init__(self, names: Sequence[str], poolers: Mapping[str, Pooler] | None = None) -> None:
        super().__init__()
        self.names = tuple(names)
        self.poolers = choose_poolers(poolers, names)

    def forward(self, pooled_BFD: Tensor | None, words: "Mapping[str, JaggedTensor]") -> Tensor:
        """``(B, F, D)`` pooled fields, or None, and the vectors of ids by field, to all ``(B, G, D)``."""
        pooled = iter(() if pooled_BFD is None else pooled_BFD.unbind(1))
        return torch.stack([
            self.poolers[name](*pad_history(words[name], sys.maxsize))
            if name in self.poolers
            else next(pooled)
            for name in self.names
        ], 1)  # fmt: skip


def choose_poolers(poolers: Mapping[str, Pooler] | None, names: Sequence[str]) -> nn.ModuleDict:
    """The poolers of some features."""
    return nn.ModuleDict({name: pooler for name, pooler in (poolers or {}).items() if name in names})


def encoders_of(poolers: nn.ModuleDict) -> dict[str, SequenceEncoder]:
    """The encoders of poolers, as a model was given them."""
    return {name: cast(Pooler, pooler).encoder for name, pooler in poolers.items()}


def make_poolers(
    poolers: Poolers | None, dim: int, of_several: Collection[str], argument: str
) -> dict[str, Pooler]:
    """Builds the poolers of a model.

    Args:
        poolers: an encoder by feature: an instance, a class or a name such as ``"text_cnn"``; or None.
        dim: D, width of the vectors.
        of_several: the features of several ids that may have one.
        argument: of the model, which names them.

    Raises:
        InputError: for another feature, or an encoder that has no state for each id.
    """
    made: dict[str, Pooler] = {}
    for name, plugin in (poolers or {}).items():
        if name not in of_several:
            raise InputError(
                f"poolers names {name!r}, which is not one of the {argument} with several ids; there are "
                f"{', '.join(of_several) or 'none'}"
            )
        encoder: Any = plugins.make("encoders", plugin, dim=dim)
        if not isinstance(encoder, SequenceEncoder):
            raise InputError(
                f"poolers gives {name!r} a {type(encoder).__name__}, whose result is several interests; "
                "choose a SequenceEncoder, such as 'text_cnn'"
            )
        made[name] = Pooler(encoder, dim)
    return made
