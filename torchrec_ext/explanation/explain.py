"""explain(): what the score of an item for a user owes to each event and each feature."""

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.attribution import Attribution
from torchrec_ext.explanation.faithfulness import Faithfulness, expect_faithful
from torchrec_ext.explanation.find_pair import PairFinder
from torchrec_ext.explanation.methods import METHODS, Method
from torchrec_ext.explanation.pair import Pair
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.trained_model import TrainedModel


def explain(
    model: TrainedModel,
    data: Events,
    user: Any,
    item: Any,
    *,
    method: Method = "leave_one_out",
    tested: Faithfulness | None = None,
    context: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """What the score of an item owes to each event of the history and to each feature.

    Every rank must call it with the same arguments.

    - ``leave_one_out``: by how much the score falls without the event, or when the feature is unknown.
      Exact, for every model; the contributions need not add up to the score.
    - ``integrated_gradients``: adds up to the score less that of a baseline. It needs captum (the extra
      ``explain``) and a ``TwoTower`` or ``Ranker``.
    - ``attention``: the weights of the events in a target attention or encoder that shows them
      (``event_weights``), where a test has found them right.
    - ``factors``: the products of the components of two vectors, which add up to the score, a dot product.

    Args:
        model: trained by fit, opened by load, or of a bundle.
        data: every event known now, which histories are read from.
        user: id as in the data.
        item: id of an item of the catalogue.
        method: see above.
        tested: what :func:`faithfulness` found for this model and method, which must pass; ``attention``
            needs it.
        context: columns of the context features that the model reads; None makes them unknown.

    Returns:
        Columns ``kind`` (``event``, ``feature`` or ``factor``), ``name`` (the place of an event, 1 for the
        newest, or the feature), ``value`` (the item of an event, or the feature's value where the data has
        it), ``title`` of an event's item or None, and ``contribution``, in the unit of the score, which is a
        ranker's probability; the largest magnitude first. ``attrs`` has the ``score``, and the ``baseline``
        where the contributions add up to the difference.

    Raises:
        InputError: if the item is not in the catalogue, the method does not fit the model or fails its
            test, or the score is not a finite number.

    Sources:
        Zeiler and Fergus 2014 (occlusion); Sundararajan et al. 2017 (integrated gradients).

    Example:
        >>> import torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4, encoder="mean_pool")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> found = explain(trained, events, user=1, item="a")
        >>> sorted(found["value"]), found["kind"].unique().tolist()
        (['a', 'b', 'c', 'd'], ['event'])
    """
    expect_one_of("method", method, get_args(Method))
    finder = PairFinder(model, data)
    pair = finder.find(user, item, context)
    with inference(model.module):
        found = METHODS[method](pair)
        if not math.isfinite(found.score):
            raise InputError(f"the score of item {item} is {found.score}; did training diverge?")
        if tested is not None or method == "attention":
            expect_faithful(tested, model, method)
        rows = _rows(finder, pair, found, {"user": user, "item": item}, context or {})
    columns = ["kind", "name", "value", "title", "contribution"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object).astype({"contribution": float})
    frame = frame.sort_values("contribution", key=np.abs, ascending=False, kind="stable", ignore_index=True)
    frame.attrs = {"score": found.score, "baseline": found.baseline, "method": method}
    return frame


def _rows(
    finder: PairFinder, pair: Pair, found: Attribution, ids: Mapping[str, Any], context: Mapping[str, Any]
) -> list[tuple]:
    if found.factors is not None:
        parts = zip(pair.item_vector()[0].tolist(), found.factors.tolist(), strict=True)
        return [("factor", place, value, None, part) for place, (value, part) in enumerate(parts)]
    items = pair.items
    newest_first = zip(items[::-1], finder.titles(items)[::-1], found.events.tolist()[::-1], strict=True)
    return [
        *(("event", place, *event) for place, event in enumerate(newest_first, 1)),
        *(
            ("feature", name, _value(finder, name, ids, context), None, contribution)
            for name, contribution in found.features.items()
        ),
    ]


def _value(finder: PairFinder, name: str, ids: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    """The value of a feature as the data has it; None where it has none."""
    if name in ids:
        return ids[name]
    schema = finder.model.preparation.schema
    feature = next(f for f in schema.of("user", "item", "context") if f.name == name)
    if feature.entity == "context":
        return context.get(feature.column)
    table = finder.data.users if feature.entity == "user" else finder.data.items
    if table is None or feature.column not in table:
        return None
    own = table[table[feature.entity] == finder.in_kind(feature.entity, ids[feature.entity])]
    return own[feature.column].iloc[0] if len(own) else None
