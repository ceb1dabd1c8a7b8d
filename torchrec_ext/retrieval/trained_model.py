"""TrainedModel: a sharded model with the ids of its data, which every step after training takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

import numpy as np
import pandas as pd
from torch import Tensor, nn

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.events import Events
from torchrec_ext.data.positive import Positive, first_task
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inputs_of
from torchrec_ext.retrieval.item_index import ItemIndex, build_item_index
from torchrec_ext.retrieval.item_vectors import item_vectors
from torchrec_ext.retrieval.similar_items import similar_items
from torchrec_ext.retrieval.user_vectors import user_vectors

Ids: TypeAlias = Sequence | np.ndarray | pd.Series

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel(Generic[Model]):
    """What ``fit`` and ``load`` return, and what ``evaluate``, ``recommend`` and ``predict`` take.

    A model that you sharded yourself becomes one with the preparation of its training part:
    ``TrainedModel(model, train.preparation)``.

    Args:
        module: a sharded retriever or ranker.
        preparation: how ids became rows, and the fitted features.
        history: a row for each epoch: losses, validation figures, speed.
        settings: what ``fit`` was called with and, under ``data``, where the data came from, as plain values;
            empty for a model you sharded yourself.
        run: folder of the run, or None.
        checkpoint: folder of the checkpoint that the weights are in, or None.
        seconds: time that training took.

    Raises:
        InputError: if the module is neither a retriever nor a ranker.

    Example:
        >>> import torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=2)
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> trained.item_vectors(["c", "a"]).columns.tolist()
        ['item', 'dim_0', 'dim_1']
        >>> ids, vectors = trained.user_vectors(events, as_tensors=True)
        >>> ids.tolist(), vectors.shape
        ([1, 2, 3], torch.Size([3, 2]))
        >>> trained.similar_items("a", k=2)[["item", "rank"]].values.tolist()
        [['a', 1], ['a', 2]]
        >>> index = trained.build_index()
        >>> lists = [tx.retrieval.recommend(trained, events, [user], k=1, index=index) for user in (1, 2, 3)]
    """

    module: Model
    preparation: Preparation
    history: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = None
    checkpoint: Path | None = None
    seconds: float = 0.0

    def __repr__(self) -> str:
        run = "" if self.run is None else f", run={str(self.run)!r}"
        return f"TrainedModel({type(self.module).__name__}, epochs={self.epochs}{run})"

    def __post_init__(self) -> None:
        inputs_of(self.module)

    @property
    def inputs(self) -> Inputs:
        """What the model reads."""
        return inputs_of(self.module)

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained."""
        return len(self.history)

    @property
    def examples_per_second(self) -> float:
        """Mean speed of training over the epochs; 0 where no epoch was trained."""
        return float(self.history["samples_per_second"].mean()) if len(self.history) else 0.0

    @property
    def positive(self) -> Positive:
        """From which value a ranker's examples are positive, for each task: that of the training, else 4."""
        return self.settings.get("positive", 4.0)

    def first_task(self, positive: Positive | None = None) -> dict[str, float]:
        """Column and least value of a positive example of a ranker's first task.

        Args:
            positive: as ``fit`` takes it; None takes that of the training, or 4 without one.
        """
        return first_task(self.positive if positive is None else positive)

    @overload
    def item_vectors(
        self, items: Ids | None = None, *, as_tensors: Literal[False] = False
    ) -> pd.DataFrame: ...

    @overload
    def item_vectors(
        self, items: Ids | None = None, *, as_tensors: Literal[True]
    ) -> tuple[np.ndarray, Tensor]: ...

    def item_vectors(
        self, items: Ids | None = None, *, as_tensors: bool = False
    ) -> pd.DataFrame | tuple[np.ndarray, Tensor]:
        """The vectors of items that a retriever scores; every rank must call it with the same items.

        Args:
            items: ids as in the data, in the order wanted; unknown ones are left out with a warning. None
                for the whole catalogue.
            as_tensors: returns ids and a tensor instead of a frame.

        Returns:
            Columns ``item``, ``dim_0``, ``dim_1``, ...; or (n,) ids and (n, D) float32 vectors on the CPU.
            The same on every rank.

        Raises:
            InputError: if the model is a ranker, or none of the items is known.
        """
        found = item_vectors(self.module, self.preparation, items)
        return (found.ids, found.values) if as_tensors else found.frame("item")

    @overload
    def user_vectors(
        self,
        data: Events,
        users: Ids | None = None,
        *,
        context: Mapping[str, Any] | pd.DataFrame | None = None,
        as_tensors: Literal[False] = False,
    ) -> pd.DataFrame: ...

    @overload
    def user_vectors(
        self,
        data: Events,
        users: Ids | None = None,
        *,
        context: Mapping[str, Any] | pd.DataFrame | None = None,
        as_tensors: Literal[True],
    ) -> tuple[np.ndarray, Tensor]: ...

    def user_vectors(
        self,
        data: Events,
        users: Ids | None = None,
        *,
        context: Mapping[str, Any] | pd.DataFrame | None = None,
        as_tensors: bool = False,
    ) -> pd.DataFrame | tuple[np.ndarray, Tensor]:
        """The vectors of users after all their events, which a retriever compares with those of items.

        Every rank must call it with the same arguments.

        Args:
            data: every event known now, which histories are read from.
            users: ids as in the data; those of whom the model knows nothing are left out with a warning.
                None for every user of ``data``.
            context: the moment, for a model that reads it; see :func:`~torchrec_ext.retrieval.recommend`.
            as_tensors: returns ids and a tensor instead of a frame.

        Returns:
            Columns ``user``, ``dim_0``, ``dim_1``, ...; or (n,) ids and (n, D) float32 vectors on the CPU. Of
            K interests the frame has K rows a user, counted in a column ``interest`` from 0, and the tensor
            is (n, K, D). The same on every rank.

        Raises:
            InputError: if the model is a ranker, or it knows nothing of any of the users.
        """
        found = user_vectors(self.module, self.preparation, data, users, context)
        return (found.ids, found.values) if as_tensors else found.frame("user")

    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """The k nearest other items of an item, or of each of several, by the cosine of their vectors.

        Every rank must call it with the same items. Each call encodes the whole catalogue, so ask for many
        items at once.

        Args:
            items: an id as in the data, or several; unknown ones are left out with a warning.
            k: length of the lists.

        Returns:
            Columns ``item``, ``similar``, ``score`` (the cosine) and ``rank`` from 1; the same on every rank.

        Raises:
            InputError: if the model is a ranker, none of the items is known, or k is out of range.
        """
        return similar_items(self.module, self.preparation, items, k)

    def build_index(self, items: Ids | None = None, index: contracts.Index | None = None) -> ItemIndex:
        """Encodes the items once, for many calls of ``recommend(trained, ..., index=index)``.

        Every rank must call it with the same items, and holds its slice of them.

        Args:
            items: ids of the items that may be recommended; unknown ones are left out with a warning. None
                for the whole catalogue.
            index: an empty one of your own, which gets the item vectors and later the query vectors as the
                model makes them; None for an :class:`ExactIndex` with the model's scorer.

        Raises:
            InputError: if the model is a ranker, or none of the items is known.
        """
        return build_item_index(self.module, self.preparation, items, index)


def expect_trained(model: Any) -> None:
    """Refuses what is not a :class:`TrainedModel`.

    Raises:
        InputError: with the remedy.
    """
    if isinstance(model, TrainedModel):
        return
    remedy = "give what training.fit or training.load returned"
    if isinstance(model, nn.Module):
        remedy += ", or wrap a model you sharded yourself: retrieval.TrainedModel(model, train.preparation)"
    raise InputError(f"model should be a TrainedModel, received a {type(model).__name__}; {remedy}")
