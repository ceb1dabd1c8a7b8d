"""Tasks: a model with the loss around it, as TorchRec's pipelines want them."""

import torch
from torch import Tensor, nn

from torchrec_ext import contracts
from torchrec_ext.batch import Batch
from torchrec_ext.errors import InputError
from torchrec_ext.losses import binary_cross_entropy, softmax_cross_entropy
from torchrec_ext.models.ranker import Arch, Ranker
from torchrec_ext.models.two_tower import TwoTower


class RetrievalTask(nn.Module):
    """Softmax cross-entropy of each target against the batch's candidates.

    The loss is the sum over the rank's targets times ``world_size / total``, so that the mean over
    ranks, which is what data-parallel and sharded gradients are divided by, is the mean over the
    targets of the global batch: a rank with fewer targets weighs less.

    Args:
        model: the two towers.
        world_size: number of ranks.
        precision: dtype of the dense part; the loss is float32.
    """

    def __init__(self, model: TwoTower, world_size: int = 1, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = model
        self.softmax = _Softmax(model, world_size, precision)

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """A batch to its loss, and (the same loss, no predictions), detached."""
        fields_BFD, sequences = self.model.embeddings(batch)
        return self.softmax(fields_BFD, sequences, batch)


class _Softmax(nn.Module):
    """Both towers and the loss, which TorchRec's tracing takes as one step."""

    def __init__(self, model: TwoTower, world_size: int, precision: torch.dtype) -> None:
        super().__init__()
        self.query_tower = model.query_tower
        self.item_tower = model.item_tower
        self.scorer = model.scorer
        self.an_event = model.inputs.label_an_event
        self.world_size = world_size
        self.precision = precision

    def forward(
        self, fields_BFD: Tensor | None, sequences: dict, batch: Batch
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        assert batch.labels is not None and batch.total is not None
        labels_N, weights_N = batch.labels, batch.weights
        if self.an_event:
            weights_N = None if weights_N is None else weights_N[labels_N >= 0]
            labels_N = labels_N[labels_N >= 0]
        device = batch.dense.device.type
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            queries = self.query_tower(fields_BFD, sequences, batch, self.an_event)
            items_CD = self.item_tower(sequences, batch)
            if queries.dim() == 3:
                queries = _interest_in(queries, items_CD[labels_N.clamp(min=0)], self.scorer)
            logits_NC = self.scorer(queries, items_CD)
        loss = softmax_cross_entropy(logits_NC, labels_N, weights_N, log_q_C=batch.log_q, reduction="sum")
        loss = loss * _share(batch.total, self.world_size)
        return loss, (loss.detach(), logits_NC.new_zeros(0))


def _interest_in(queries_NKD: Tensor, targets_ND: Tensor, scorer: contracts.Scorer) -> Tensor:
    """``(N, D)`` interest that scores each target best: the one that learns it (ComiRec, Cen et al. 2020)."""
    rows, interests, dim = queries_NKD.shape
    with torch.no_grad():
        own = targets_ND.repeat_interleave(interests, 0).unsqueeze(1)
        best_N = scorer(queries_NKD.reshape(-1, dim), own).view(rows, interests).argmax(1)
    return queries_NKD[torch.arange(rows, device=best_N.device), best_N]


class RankingTask(nn.Module):
    """Binary cross-entropy with logits of each pair; the loss is scaled as :class:`RetrievalTask` does.

    The mean over the ranks of a target attention's own loss is added to it.

    Args:
        model: the ranker.
        world_size: number of ranks.
    """

    def __init__(self, model: contracts.Ranker, world_size: int = 1) -> None:
        super().__init__()
        self.model = model
        self.loss = _Binary(world_size)
        self.arch = None
        if isinstance(model, Ranker) and isinstance(
            model.target_attention, contracts.SupervisedTargetAttention
        ):
            self.arch = _SupervisedArch(model.arch)

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """A batch to its loss, and (the same loss, the ``(B, tasks)`` logits), detached."""
        if self.arch is None:
            return self.loss(self.model(batch), batch)
        assert isinstance(self.model, Ranker)
        fields_BFD, sequences = self.model.embeddings(batch)
        logits, own = self.arch(fields_BFD, sequences, batch)
        return self.loss(logits, batch, own)


class _SupervisedArch(nn.Module):
    """A ranker above its tables, with the target attention's loss."""

    def __init__(self, arch: Arch) -> None:
        super().__init__()
        self.arch = arch

    def forward(self, fields_BFD: Tensor | None, sequences: dict, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.arch.forward_and_loss(fields_BFD, sequences, batch)


class _Binary(nn.Module):
    def __init__(self, world_size: int) -> None:
        super().__init__()
        self.world_size = world_size

    def forward(
        self, logits: Tensor, batch: Batch, own: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        assert batch.labels is not None and batch.total is not None
        loss = binary_cross_entropy(logits, batch.labels, batch.weights, reduction="sum")
        loss = loss * _share(batch.total, self.world_size)
        if own is not None:
            loss = loss + own
        return loss, (loss.detach(), logits.detach())


def _share(total: Tensor, world_size: int) -> Tensor:
    """The factor from a rank's sum to its share of the global mean; finite where nothing has weight."""
    return (world_size / total.clamp(min=1e-12)).float()


def task_for(model: nn.Module, world_size: int = 1, precision: torch.dtype = torch.float32) -> nn.Module:
    """The task that trains a model: a softmax for a retriever, binary for a ranker.

    Args:
        model: not sharded yet.
        world_size: number of ranks.
        precision: of a retriever's dense part.

    Raises:
        InputError: for a model that is neither.
    """
    if isinstance(model, TwoTower):
        return RetrievalTask(model, world_size, precision)
    if isinstance(model, contracts.Ranker):
        return RankingTask(model, world_size)
    raise InputError(f"model must be a TwoTower or a Ranker, received a {type(model).__name__}")
