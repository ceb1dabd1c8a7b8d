"""add_items(): a model that answers, with items that were added since its bundle was written."""

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch

from torchrec_ext.retrieval.encode import encode_slice, item_batcher
from torchrec_ext.retrieval.popular import popular_index
from torchrec_ext.serving.grown_bundle import expect_item_features, grown_bundle
from torchrec_ext.serving.index_with_added import IndexWithAdded
from torchrec_ext.serving.item_filters import ItemFilters
from torchrec_ext.serving.live_model import LiveModel
from torchrec_ext.serving.local_model import LocalRetriever
from torchrec_ext.serving.logged_events import as_items
from torchrec_ext.serving.served_event import ServedEvent
from torchrec_ext.serving.streaming_states import StreamingStates
from torchrec_ext.serving.user_histories import UserHistories


@torch.inference_mode()
def add_items(live: LiveModel, entries: Sequence[ServedEvent], *, strict: bool = True) -> LiveModel:
    """The same model with items added, or known ones with other columns; the given one stays as it is.

    Only these items are encoded, and the index is not built again. Histories are read again, since there may
    be events of a new item already.

    Args:
        live: the model.
        entries: what the log keeps of the items.
        strict: refuses a value that does not fit its column; otherwise it is missing.

    Raises:
        InputError: if the model reads no side features of items, or an item is refused.
    """
    expect_item_features(live.bundle)
    events, before, found = live.bundle.events, live.preparation.vocabularies["item"], copy(live)
    assert events is not None and events.items is not None
    items = as_items(entries, events.items, strict=strict)
    if not len(items):
        return live
    found.bundle = grown_bundle(live.bundle, items)
    found.model, found.preparation = found.bundle.model, found.bundle.model.preparation
    vocabulary = found.preparation.vocabularies["item"]
    rows = np.sort(vocabulary.rows(items["item"]))
    found.catalogue, found.added = np.union1d(live.catalogue, rows), np.union1d(live.added, rows)
    assert found.bundle.events is not None
    found.filters = ItemFilters(found.bundle.events.items, vocabulary)
    # an item of the bundle's events may have had too few of them for a row
    happened = events.distinct("item").isin(vocabulary.index[len(before) - 1 :]).any()
    found.users = UserHistories(found.bundle, live.users.store, log=None if happened else live.users.log)
    assert found.users.log is not None
    found.popular = popular_index(found.users.log, found.catalogue)
    module = live.model.module
    if isinstance(module, LocalRetriever):
        found.vectors = live.vectors.new_empty(len(found.catalogue), live.vectors.shape[1])
        found.vectors[found.places(live.catalogue)] = live.vectors
        batcher = item_batcher(found.preparation, live.inputs)
        found.vectors[found.places(rows)] = encode_slice(module, batcher, rows)[0]
        found.index = IndexWithAdded(live.built, live.built_items, module.scorer)
        found.index.build(found.vectors[found.places(found.added)], torch.from_numpy(found.added))
        vars(found).pop("_by_cosine", None)  # made at the first use
        if live.states is not None:
            found.states = StreamingStates(module, found.preparation, live.times)
    return found
