"""StoredIndex: an approximate index in a bundle, which opens without being built anew."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from torchrec_ext.contracts import Scorer
from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.encode import expect_retriever
from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.serving.faiss_index import SETTINGS, FaissIndex

log = logging.getLogger(__name__)

_FILE = "index.safetensors"
_USERS = 200
"""Whose queries recall is measured on."""


@dataclass(frozen=True)
class StoredIndex:
    """The links or clusters of an index, without the item vectors, which come from the tables of a bundle.

    Args:
        settings: arguments of :class:`FaissIndex` by name.
        recall: ``recall@10`` and ``recall@100`` when it was built.
        arrays: ``index.arrays``.
    """

    settings: Mapping[str, Any]
    recall: Mapping[str, float]
    arrays: Mapping[str, Tensor]

    @property
    def description(self) -> dict[str, Any]:
        """What the manifest of the bundle says of it."""
        return {"settings": dict(self.settings), "recall": dict(self.recall)}

    def save(self, folder: Path) -> None:
        """Writes the arrays into the folder of a bundle."""
        save_file({name: array.contiguous() for name, array in self.arrays.items()}, folder / _FILE)

    def open(self, scorer: Scorer) -> FaissIndex:
        """An index that is to be filled with the item vectors of the bundle, by the scorer of its model.

        Raises:
            InputError: if faiss is not installed, or a setting is out of range.
        """
        index = FaissIndex(**self.settings, scorer=scorer, arrays=self.arrays)
        index.recall = dict(self.recall)
        figures = ", ".join(f"{name} {value:.3f}" for name, value in self.recall.items())
        log.info("%s of the bundle: %s when it was built", index.kind, figures)
        return index


def read_index(folder: Path, manifest: Mapping[str, Any]) -> StoredIndex | None:
    """What :meth:`StoredIndex.save` wrote; None if the manifest describes no index.

    Raises:
        InputError: if the description or the file is not that of an index.
    """
    found = manifest.get("index")
    if found is None:
        return None
    try:
        settings = {name: found["settings"][name] for name in SETTINGS}
        recall = {name: float(value) for name, value in found["recall"].items()}
        return StoredIndex(settings, recall, load_file(folder / _FILE))
    except (KeyError, TypeError, ValueError, AttributeError, OSError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"the index of {folder} cannot be read ({reason}); export the bundle again"
        ) from error


def empty_index(settings: FaissIndex, model: TrainedModel, events: Events | None) -> FaissIndex:
    """An index for the items of a model, whose recall will be measured on queries of its users.

    Args:
        settings: an index whose settings, threads and queries it takes.
        model: a retriever with an indexable scorer.
        events: of the users who ask, if ``settings`` has no queries; item vectors ask where the events are
            None, or the model knows none of the users.

    Raises:
        InputError: if the model is a ranker, or its scorer is not indexable.
    """
    scorer = expect_retriever(model.module, "index").scorer
    queries = settings.queries
    if queries is None and events is not None and "user" in events.columns:
        queries = _queries(model, events)
    return FaissIndex(
        **settings.settings, scorer=scorer, build_threads=settings.build_threads, queries=queries
    )


def _queries(model: TrainedModel, events: Events) -> Tensor | None:
    users = events.ids("user")
    some = users[np.linspace(0, len(users) - 1, min(_USERS, len(users))).astype(int)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some users are not known
        try:
            return model.user_vectors(events, some, as_tensors=True)[1]
        except InputError:  # none of them is
            return None


def fill(index: FaissIndex, model: TrainedModel) -> StoredIndex:
    """Builds an index from the item vectors of a model, which takes minutes for millions of them."""
    model.build_index(index=index)
    return StoredIndex(index.settings, index.recall, index.arrays)
