"""PairFinder: pairs of a trained model by the ids of its data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.pair import Pair
from torchrec_ext.retrieval.known_items import find_items
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.request_context import context_read
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained
from torchrec_ext.schema import Entity


class PairFinder:
    """Finds users and items by their own ids in the events known now.

    Args:
        model: trained by fit, opened by load, or of a bundle.
        data: every event known now, which histories are read from.

    Raises:
        InputError: if an argument is of another kind.
    """

    def __init__(self, model: TrainedModel, data: Events) -> None:
        expect_trained(model)
        expect_events(data)
        self.model, self.data = model, data
        self._known = KnownUsers(model.preparation, data)
        self.log = self._known.log

    def find(self, user: Any, item: Any, context: Mapping[str, Any] | None = None) -> Pair:
        """A pair; of an unknown user without events.

        Args:
            user: id as in the data.
            item: id of an item of the catalogue.
            context: columns of the context features that the model reads; None makes them unknown.

        Raises:
            InputError: if the item is not in the catalogue, or the context lacks a column that is read.
        """
        preparation = self.model.preparation
        for name, value in (("user", user), ("item", item)):
            if not pd.api.types.is_scalar(value):
                raise InputError(f"{name} should be one id, received {value!r}")
        row = int(find_items(preparation, [item], "item")[0])
        at = int(self._known.find(pd.Series([user]))[0])
        values = {}
        if context is not None:
            features = context_read(self.model.inputs, preparation)
            for feature in features:
                if feature.column not in context:
                    raise InputError(f"context lacks {feature.column!r}, which the model reads")
            values = {f.name: preparation.context(f, pd.Series([context[f.column]])) for f in features}
        return Pair(self.model.module, preparation, self.log, at, row, values)

    def in_kind(self, entity: Entity, own: Any) -> Any:
        """An id as the data has it: 7 for "7" where ids are integers."""
        own = own.item() if isinstance(own, np.generic) else own
        vocabulary = self.model.preparation.vocabularies[entity]
        return vocabulary.in_kind(own) if isinstance(own, str | int) else own

    def titles(self, items: Any) -> list[str | None]:
        """The title of each item where the data has one."""
        table = self.data.items
        if table is None or "title" not in table:
            return [None] * len(items)
        titles = table["title"].to_numpy(object)
        own = [self.in_kind("item", item) for item in items]
        places = pd.Index(table["item"]).get_indexer(pd.Index(own, dtype=object))
        found = [titles[place] if place >= 0 else None for place in places.tolist()]
        return [title if isinstance(title, str) else None for title in found]
