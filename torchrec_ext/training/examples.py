"""Chooses the examples that a model learns from."""

from torch import nn

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.examples import Examples
from torchrec_ext.data.batching.grouped_events import GroupedEvents
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.positive import Positive, tasks_of
from torchrec_ext.errors import InputError
from torchrec_ext.models.tasks import by_dot_products

_CATALOGUE = 50_000
"""The largest catalogue of which all items compete if the loss does not choose its candidates."""

_DIVIDED = 100_000
"""The largest catalogue of which each rank has all items.

Dividing it takes an exchange for each block of targets, on two ranks a sixth more processor time for 50,000
items and 1,386 targets, and a sixth less for 200,000; it halves the memory beside the table.
"""


def training_examples(
    model: nn.Module,
    train: Dataset,
    loss: contracts.RetrievalLoss | contracts.RankingLoss,
    positive: Positive,
    *,
    one_class: bool = False,
    rank: int = 0,
    ranks: int = 1,
) -> Examples:
    """Labelled pairs for a ranker; windows or events of histories for a retriever.

    Args:
        model: a retriever or a ranker.
        train: the training part.
        loss: decides which candidates compete, or how positives are weighted.
        positive: smallest rating of a positive example, one for each task of a ranker.
        one_class: allows labels of a ranker that are all the same.
        rank: of this process.
        ranks: number of processes, which divide the catalogue if the loss can.

    Raises:
        InputError: if the numbers of tasks and thresholds differ, or there is nothing to learn from.
    """
    if isinstance(model, contracts.Ranker):
        assert isinstance(loss, contracts.RankingLoss)
        tasks, thresholds = getattr(model, "tasks", None), len(tasks_of(positive))
        if tasks not in (None, thresholds):
            raise InputError(
                f"the model has {tasks} task(s), but positive has {thresholds} threshold(s): {positive}"
            )
        if loss.within is not None:
            return GroupedEvents(train, model.inputs, positive, loss.within, loss.negatives)
        return LabelledEvents(train, train, model.inputs, positive, loss.weigh_by_rating, one_class=one_class)
    assert isinstance(model, contracts.Retriever) and isinstance(loss, contracts.RetrievalLoss)
    items = len(train.preparation.trained.catalogue)
    small = items <= _CATALOGUE and model.scorer.indexable
    kind = loss.candidates or ("catalogue" if small else "sampled")
    divided_by = ranks if by_dot_products(model, loss) and items > _DIVIDED else 1
    candidates = Candidates.of(train, kind, loss.num_sampled, loss.num_in_batch, rank, divided_by)
    if not model.inputs.per_event_labels:
        return LastEvents(train, model.inputs, candidates)
    return (HiddenEvents if model.inputs.masked else NextEvents)(train, model.inputs, candidates)


def catalogue_on_every_rank(examples: Examples) -> bool:
    """Whether each rank looks up all items, or most that have a row, in each step."""
    candidates = getattr(examples, "candidates", None)
    return candidates is not None and candidates.most_rows and not candidates.divided


def default_batch_size(inputs: Inputs, examples: int) -> int:
    """Examples per step over all ranks.

    Args:
        inputs: what the model reads.
        examples: number of training examples.

    Returns:
        32 histories if every event of a history is learnt; otherwise a power of two from 32 to 2,048 with
        which an epoch has at least 32 steps, if there are enough examples.

    Example:
        >>> default_batch_size(Inputs(), 1_000_000), default_batch_size(Inputs(), 10_000)
        (2048, 256)
    """
    if inputs.per_event_labels:
        return 32
    return 1 << min(max(examples // 32, 32).bit_length() - 1, 11)
