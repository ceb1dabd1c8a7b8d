"""Tasks: a model and its loss, in the form that TorchRec's pipelines expect."""

from collections.abc import Callable

import torch
from torch import Tensor, nn, zeros_like
from torch.nn.functional import pad

from torchrec_ext import contracts
from torchrec_ext.batch import Batch
from torchrec_ext.checks import expect_shape
from torchrec_ext.errors import InputError
from torchrec_ext.losses import (
    BinaryCrossEntropy,
    SoftmaxCrossEntropy,
    dot_product_cross_entropy,
    sharded_cross_entropy,
    sharded_targets,
)
from torchrec_ext.models.ranker import Ranker, RankerArch


class RetrievalTask(nn.Module):
    """The loss of each target against the batch's candidates.

    The loss is the sum over the rank's targets times ``world_size / total``. TorchRec and DDP average
    gradients over the ranks, so the result is the mean over the targets of the global batch, in which a
    rank with fewer targets weighs less.

    Args:
        model: the retriever.
        loss: of a target among its candidates; None takes softmax cross-entropy.
        world_size: number of ranks.
        precision: dtype of the model; the loss is float32.
        device: where the model computes, ``"cpu"`` or ``"cuda"``.
    """

    def __init__(
        self,
        model: contracts.Retriever,
        loss: contracts.RetrievalLoss | None = None,
        world_size: int = 1,
        precision: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = _CandidateLoss(model, SoftmaxCrossEntropy() if loss is None else loss, world_size)
        self.precision = precision
        self.device = device

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """A batch to its loss, and (the same loss, no predictions), detached."""
        with torch.autocast(self.device, self.precision, enabled=self.precision != torch.float32):
            queries, items_CD = self.model(batch)
            return self.loss(queries, items_CD, batch)


class _CandidateLoss(nn.Module):
    """Scores and their loss, which TorchRec traces as one step."""

    def __init__(self, model: contracts.Retriever, loss: contracts.RetrievalLoss, world_size: int) -> None:
        super().__init__()
        self.scorer = model.scorer
        self.per_event_labels = model.inputs.per_event_labels
        self.loss = loss
        self.by_dot_products = by_dot_products(model, loss)
        self.world_size = world_size

    def forward(
        self, queries: Tensor, items_CD: Tensor, batch: Batch
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        assert batch.labels is not None and batch.total is not None
        labels_N, weights_N = batch.labels, batch.weights
        if self.per_event_labels:
            weights_N = None if weights_N is None else weights_N[labels_N >= 0]
            labels_N = labels_N[labels_N >= 0]
        first = batch.first_candidate
        if queries.dim() == 3:
            targets_N = labels_N.clamp(min=0)
            targets_ND = items_CD[targets_N] if first is None else sharded_targets(items_CD, targets_N, first)
            queries = _nearest_interest(queries, targets_ND, self.scorer)
        if self.by_dot_products:
            index_vectors: Callable[[Tensor], Tensor] = self.scorer.index_vectors  # type: ignore[assignment]
            vectors = index_vectors(queries), index_vectors(items_CD)
            if first is None:
                summed = dot_product_cross_entropy(*vectors, labels_N, weights_N, log_q_C=batch.log_q)
            else:
                summed = sharded_cross_entropy(*vectors, labels_N, weights_N, first)
        else:
            logits_NC, places_N, log_q_C = self._logits(queries, items_CD, labels_N, batch.log_q)
            with torch.autocast(logits_NC.device.type, enabled=False):
                losses_N = self.loss(logits_NC.float(), places_N, log_q_C)
                expect_shape("the losses", losses_N, tuple(labels_N.shape))
                summed = _weighted_sum(losses_N, weights_N)
        loss = summed * _share(batch.total, self.world_size)
        return loss, (loss.detach(), loss.new_zeros(0))

    def _logits(
        self, queries_ND: Tensor, items_CD: Tensor, labels_N: Tensor, log_q_S: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scores of the shared candidates; if there are others, a row's target is the last one of the row."""
        if log_q_S is None or len(log_q_S) == len(items_CD):
            return self.scorer(queries_ND, items_CD), labels_N, log_q_S
        shared = len(log_q_S)
        logits_NS = self.scorer(queries_ND, items_CD[:shared])
        own_N1 = self.scorer(queries_ND, items_CD[labels_N.clamp(min=0)].unsqueeze(1))
        is_own_NS = torch.arange(shared, device=labels_N.device) == labels_N.unsqueeze(1)
        logits_NC = torch.cat([logits_NS.masked_fill(is_own_NS, torch.finfo(logits_NS.dtype).min), own_N1], 1)
        return logits_NC, labels_N.where(labels_N < 0, shared), pad(log_q_S, (0, 1))


def by_dot_products(model: contracts.Retriever, loss: nn.Module) -> bool:
    """Whether the loss needs no tensor of logits, so that the ranks may divide the catalogue."""
    return type(loss) is SoftmaxCrossEntropy and model.scorer.indexable


def _nearest_interest(queries_NKD: Tensor, targets_ND: Tensor, scorer: contracts.Scorer) -> Tensor:
    """``(N, D)`` interest that scores each target best: only it is trained (ComiRec, Cen et al. 2020)."""
    rows, interests, dim = queries_NKD.shape
    with torch.no_grad():
        repeated = targets_ND.repeat_interleave(interests, 0).unsqueeze(1)
        best_N = scorer(queries_NKD.reshape(-1, dim), repeated).view(rows, interests).argmax(1)
    return queries_NKD[torch.arange(rows, device=best_N.device), best_N]


class RankingTask(nn.Module):
    """The loss of each pair's logits; it is scaled as :class:`RetrievalTask` does.

    The mean over the ranks of a target attention's auxiliary loss is added to it.

    Args:
        model: the ranker.
        loss: of logits and labels; None takes binary cross-entropy.
        world_size: number of ranks.
    """

    def __init__(
        self, model: contracts.Ranker, loss: contracts.RankingLoss | None = None, world_size: int = 1
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = _PairLoss(BinaryCrossEntropy() if loss is None else loss, world_size)
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
        logits, auxiliary_loss = self.arch(*self.model.look_up(batch), batch)
        return self.loss(logits, batch, auxiliary_loss)


class _SupervisedArch(nn.Module):
    """A ranker above its tables, with the loss of its target attention."""

    def __init__(self, arch: RankerArch) -> None:
        super().__init__()
        self.arch = arch

    def forward(
        self, fields_BFD: Tensor | None, sequences: dict, weights_BT: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        return self.arch.forward_and_loss(fields_BFD, sequences, weights_BT, batch)


class _PairLoss(nn.Module):
    """The loss of a ranker's logits, which TorchRec traces as one step."""

    def __init__(self, loss: contracts.RankingLoss, world_size: int) -> None:
        super().__init__()
        self.loss = loss
        self.world_size = world_size

    def forward(
        self, logits: Tensor, batch: Batch, auxiliary_loss: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        assert batch.labels is not None and batch.total is not None
        losses = self.loss(logits.float(), batch.labels)
        expect_shape("the losses", losses, tuple(logits.shape))
        summed = _weighted_sum(losses, batch.weights)
        if self.loss.also_negative:
            summed = summed + _weighted_sum(self.loss(logits.float(), zeros_like(batch.labels)), batch.labels)
        loss = summed * _share(batch.total, self.world_size)
        if auxiliary_loss is not None:
            loss = loss + auxiliary_loss
        return loss, (loss.detach(), logits.detach())


def _weighted_sum(losses: Tensor, weights: Tensor | None) -> Tensor:
    return losses.sum() if weights is None else (losses * weights.float()).sum()


def _share(total: Tensor, world_size: int) -> Tensor:
    """The factor from a rank's sum to its share of the global mean; finite if the total is 0."""
    return (world_size / total.clamp(min=1e-12)).float()


def task_for(
    model: nn.Module,
    loss: nn.Module | None = None,
    world_size: int = 1,
    precision: torch.dtype = torch.float32,
    device: str = "cpu",
) -> RetrievalTask | RankingTask:
    """The task that trains a model.

    Args:
        model: a retriever or a ranker, not sharded yet.
        loss: a :class:`~torchrec_ext.contracts.RetrievalLoss` for a retriever, a
            :class:`~torchrec_ext.contracts.RankingLoss` for a ranker; None takes softmax or binary
            cross-entropy.
        world_size: number of ranks.
        precision: of a retriever.
        device: where the model computes, ``"cpu"`` or ``"cuda"``.

    Raises:
        InputError: for a model that is neither, or a loss of the other kind.
    """
    if isinstance(model, contracts.Retriever):
        if loss is None or isinstance(loss, contracts.RetrievalLoss):
            return RetrievalTask(model, loss, world_size, precision, device)
        raise _wrong_loss(loss, "RetrievalLoss", model)
    if isinstance(model, contracts.Ranker):
        if loss is None or isinstance(loss, contracts.RankingLoss):
            return RankingTask(model, loss, world_size)
        raise _wrong_loss(loss, "RankingLoss", model)
    raise InputError(
        "model must be a contracts.Retriever (such as TwoTower) or a contracts.Ranker (such as Ranker), "
        f"received a {type(model).__name__}"
    )


def _wrong_loss(loss: nn.Module, wanted: str, model: nn.Module) -> InputError:
    return InputError(
        f"loss is a {type(loss).__name__}, but a {type(model).__name__} needs a contracts.{wanted}"
    )
