"""The contracts of all plug-ins: abstract classes without shared code.

Shape letters: B batch, F fields, T events, D embedding width, K interests, C candidates, I items,
N queries, k list length. A tensor's name may end in its shape: ``fields_BFD``.

B and T may be 0: an output then has 0 rows or 0 events, and gradients are zero. Every module keeps each
argument of its constructor as an attribute of the same name, so that a run can be described and rebuilt
(:func:`torchrec_ext.plugins.specification`). A class that cannot keep a promise of the contract tests
names it in its attribute ``cannot``: the test's name without ``test_``, and the reason, which the list
of modules shows.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

from torch import Tensor, nn

from torchrec_ext.batch import Inputs


class Interaction(nn.Module, ABC):
    """Field vectors to one vector.

    A model builds it as ``cls(num_fields=F, dim=D, **arguments)``.
    """

    out_dim: int

    @abstractmethod
    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""


class SequenceEncoder(nn.Module, ABC):
    """A history to one state per event.

    Events are padded on the right; padding never changes a real state. If ``causal``, state t depends on
    events <= t only, and training may learn every next event of a history in one pass.
    ``reads_times`` says whether the states depend on the times. A model builds it as
    ``cls(dim=D, **arguments)``.
    """

    out_dim: int
    causal: bool
    reads_times: bool = False

    @abstractmethod
    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """Events to states.

        Args:
            events_BTD: ``(B, T, D)`` float event vectors, oldest first.
            lengths_B: ``(B,)`` integer lengths.
            times_BT: ``(B, T)`` float64 seconds, or None where the data has no times.

        Returns:
            ``(B, T, out_dim)`` states.
        """


class StreamingEncoder(SequenceEncoder):
    """A causal encoder that can also read one event at a time, for real-time serving.

    ``step`` gives the states of ``forward``, for histories of any length.
    """

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """The state of ``batch_size`` users without events."""

    @abstractmethod
    def step(self, state: Any, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Any, Tensor]:
        """Adds one event.

        Args:
            state: from ``initial_state`` or an earlier step; it is not changed.
            event_BD: ``(B, D)`` float event vectors.
            time_B: ``(B,)`` float64 seconds, or None where the data has no times.

        Returns:
            The new state, and the ``(B, out_dim)`` state of the event.
        """


class MaskedEncoder(SequenceEncoder):
    """A bidirectional encoder that is trained by predicting hidden events.

    Training hides a share of a window's events, ``masked_share``, and learns each from its state. The query
    of a user is the state of a hidden event after the newest. ``causal`` is False.
    """

    masked_share: float

    @abstractmethod
    def forward(
        self,
        events_BTD: Tensor,
        lengths_B: Tensor,
        times_BT: Tensor | None = None,
        masked_BT: Tensor | None = None,
    ) -> Tensor:
        """As :meth:`SequenceEncoder.forward`, with events hidden.

        Args:
            events_BTD: ``(B, T, D)`` float event vectors, oldest first.
            lengths_B: ``(B,)`` integer lengths; hidden events count.
            times_BT: ``(B, T)`` float64 seconds, or None where the data has no times.
            masked_BT: ``(B, T)`` bool, True where the event is hidden: no state depends on its vector
                or its time. None hides none.
        """


class MultiInterestEncoder(nn.Module, ABC):
    """A history to K interest vectors; an item's score is the best over the K.

    ``reads_times`` says whether they depend on the times. A model builds it as ``cls(dim=D, **arguments)``.
    """

    out_dim: int
    num_interests: int
    reads_times: bool = False

    @abstractmethod
    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """Events, lengths and times as in :class:`SequenceEncoder` to ``(B, K, out_dim)``."""


class TargetAttention(nn.Module, ABC):
    """A candidate and a history to one vector; an empty history gives zeros.

    A model builds it as ``cls(dim=D, **arguments)``.
    """

    out_dim: int

    @abstractmethod
    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` candidates, ``(B, T, D)`` events and ``(B,)`` int lengths to ``(B, out_dim)``."""


class SupervisedTargetAttention(TargetAttention):
    """A target attention with a loss of its own, which training adds to the ranker's."""

    @abstractmethod
    def forward_and_loss(
        self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The result of ``forward``, and a weighted scalar loss to add; 0 for empty histories."""


class Scorer(nn.Module, ABC):
    """Query and candidate vectors to scores.

    ``indexable`` is True if a nearest-neighbour index can serve the scorer. It then also has
    ``index_vectors(vectors_ND)``, whose dot products are the scores: a cosine is the dot product of
    normalised vectors. A model builds it as ``cls(dim=D, **arguments)``.
    """

    indexable: bool

    @abstractmethod
    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """``(B, D)`` queries and ``(C, D)`` shared or ``(B, C, D)`` own candidates to ``(B, C)`` scores."""


class Head(nn.Module, ABC):
    """The last vector to the logits of one or several tasks.

    A model builds it as ``cls(in_dim=D, tasks=n, **arguments)``.
    """

    tasks: int

    @abstractmethod
    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits."""


class RetrievalLoss(nn.Module, ABC):
    """The loss of a retriever: each target among its candidates; training averages the global batch.

    ``candidates`` names the items that compete with a target; None leaves the choice to training.
    ``num_sampled`` is the number of draws a step. Built by name it gets ``cls(**own)``.
    """

    candidates: Literal["catalogue", "sampled", "in_batch"] | None = None
    num_sampled: int = 512

    @abstractmethod
    def forward(self, logits_NC: Tensor, labels_N: Tensor, log_q_C: Tensor | None = None) -> Tensor:
        """Scores of candidates to losses.

        Args:
            logits_NC: ``(N, C)`` float scores of the candidates.
            labels_N: ``(N,)`` int64 position of the target among the candidates; -1 where there is none.
            log_q_C: ``(C,)`` float log-probability that a candidate is among the candidates, or None
                where each is there for certain.

        Returns:
            ``(N,)`` float32 losses; 0 where the label is -1.
        """


class RankingLoss(nn.Module, ABC):
    """The loss of a ranker: the logits of each pair against its labels; training averages the batch.

    If ``weigh_by_rating``, positives weigh as much as their rating. Built by name it gets ``cls(**own)``.
    """

    weigh_by_rating: bool = False

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``(B, tasks)`` float logits and as many labels from 0 to 1 to ``(B, tasks)`` float32 losses."""


class Retriever(nn.Module, ABC):
    """Queries and items to vectors, and a scorer of the two; an index serves it if that is indexable.

    Training overlaps a lookup where ``forward`` gives the batch's tensors to a sharded module once.
    """

    inputs: Inputs
    scorer: Scorer

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """What a training batch is learnt from.

        Args:
            batch: a :class:`~torchrec_ext.batch.Batch` with labels.

        Returns:
            ``(N, D)`` or ``(N, K, D)`` queries and ``(C, D)`` candidates. There is a query for each example,
            or if ``inputs.per_event_labels`` for each event of the histories whose label is not -1.
        """

    @abstractmethod
    def encode_queries(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of users to ``(B, D)`` or ``(B, K, D)``."""

    @abstractmethod
    def encode_items(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of candidates to ``(C, D)``."""


class Ranker(nn.Module, ABC):
    """Examples to logits: may cross user and item freely, and cannot be indexed."""

    inputs: Inputs

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of B user-item pairs to ``(B, tasks)`` logits."""


Exclusions: TypeAlias = Sequence[Tensor | Sequence[int]] | tuple[Tensor, Tensor]
"""Ids to leave out: a sequence of int64 ids for each query; or a tuple of all of them, ``(N,)`` int64, and
the ``(B + 1,)`` int64 offsets at which those of each query begin, the last of which is N."""


class Index(Protocol):
    """Item vectors to the k best for a query; ``retrieval.ExactIndex`` is one.

    The index scores vectors as the model makes them: one for a cosine is given the scorer, or normalises
    with its ``index_vectors``. Both methods are collective where several ranks share the items.
    """

    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Takes ``(I, D)`` float vectors and their ``(I,)`` int64 ids: on each rank a slice of the items."""

    def search(self, queries_BD: Tensor, k: int, exclude: Exclusions | None = None) -> tuple[Tensor, Tensor]:
        """The k best items of each query among those of all ranks.

        Args:
            queries_BD: ``(B, D)``, or ``(B, K, D)`` of which an item's best score counts.
            k: from 1 to the number of items.
            exclude: ids that must not come back, of the forms that :data:`Exclusions` names; one that is
                not in the index is passed over.

        Returns:
            ``(B, k)`` scores, best first, and ``(B, k)`` int64 ids; -1 where no item is left.
        """


GROUPS: dict[str, tuple[type[nn.Module], ...]] = {
    "interactions": (Interaction,),
    "encoders": (SequenceEncoder, MultiInterestEncoder),
    "target_attention": (TargetAttention,),
    "scorers": (Scorer,),
    "heads": (Head,),
    "losses": (RetrievalLoss, RankingLoss),
}
"""Plug-in group, which is also the folder's name, to the contracts of which its classes keep one."""

__all__ = [
    "GROUPS",
    "Exclusions",
    "Head",
    "Index",
    "Interaction",
    "MaskedEncoder",
    "MultiInterestEncoder",
    "Ranker",
    "RankingLoss",
    "RetrievalLoss",
    "Retriever",
    "Scorer",
    "SequenceEncoder",
    "StreamingEncoder",
    "SupervisedTargetAttention",
    "TargetAttention",
]
