"""explain(): what the score of an item for a user owes to each event and each feature."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.events import Events
from torchrec_ext.explanation.attribution import Attribution, leave_one_out
from torchrec_ext.explanation.factors import factors
from torchrec_ext.explanation.find_pair import PairFinder
from torchrec_ext.explanation.integrated_gradients import integrated_gradients
from torchrec_ext.explanation.pair import Pair
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.trained_model import TrainedModel

_COLUMNS = ("kind", "name", "value", "title", "contribution")

Method = Literal["leave_one_out", "integrated_gradients", "factors"]

METHODS: dict[str, Callable[[Pair], Attribution]] = {
    "leave_one_out": leave_one_out,
    "integrated_gradients": integrated_gradients,
    "factors": factors,
}


def explain(
    model: TrainedModel,
    data: Events,
    user: Any,
    item: Any,
    *,
    method: Method = "leave_one_out",
    context: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """What the score of an item owes to each event of the history and to each feature.

    Every rank must call it with the same arguments.

    - ``leave_one_out``: by how much the score falls without the event, or when the feature is unknown.
      Exact, for every model; the contributions need not add up to the score.
    - ``integrated_gradients``: adds up to the score less that of a baseline. It needs captum (the extra
      ``explain``) and a ``TwoTower`` or ``Ranker``.
    - ``factors``: the products of the components of two vectors, which add up to the score, a dot product.

    :func:`faithfulness` tests whether a method is right about a model.

    Args:
        model: trained by fit, opened by load, or of a bundle.
        data: every event known now, which histories are read from.
        user: id as in the data.
        item: id of an item of the catalogue.
        method: see above.
        context: columns of the context features that the model reads; None makes them unknown.

    Returns:
        Columns ``kind`` (``event``, ``feature`` or ``factor``), ``name`` (the place of an event, 1 for the
        newest, or the feature), ``value`` (the item of an event, or the feature's value where the data has
        it), ``title`` of an event's item or None, and ``contribution``, in the unit of the score, which is a
        ranker's probability; the largest magnitude first. ``attrs`` has the ``score``, and the ``baseline``
        where the contributions add up to the difference.

    Raises:
        InputError: if the item is not in the catalogue, or the method does not fit the model.

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
        frame = _frame(finder, pair, found, {"user": user, "item": item}, context or {})
    frame = frame.sort_values("contribution", key=np.abs, ascending=False, kind="stable", ignore_index=True)
    frame.attrs = {"score": found.score, "baseline": found.baseline, "method": method}
    return frame


def _frame(
    finder: PairFinder, pair: Pair, found: Attribution, ids: Mapping[str, Any], context: Mapping[str, Any]
) -> pd.DataFrame:
    if found.factors is not None:
        vector = pair.item_vector()[0].tolist()
        rows: list[tuple] = [
            ("factor", place, value, None, contribution)
            for place, (value, contribution) in enumerate(zip(vector, found.factors.tolist(), strict=True))
        ]
        return _as_frame(rows)
    items = finder.items_of(pair).tolist()
    newest_first = zip(items[::-1], finder.titles(items)[::-1], found.events.tolist()[::-1], strict=True)
    rows = [("event", place, *event) for place, event in enumerate(newest_first, 1)]
    rows += [
        ("feature", name, _value(finder, name, ids, context), None, contribution)
        for name, contribution in found.features.items()
    ]
    return _as_frame(rows)


def _as_frame(rows: Sequence[tuple]) -> pd.DataFrame:
    """The rows, ids and titles as they are, None where there is none."""
    columns = zip(_COLUMNS, zip(*rows, strict=True) if rows else [()] * len(_COLUMNS), strict=True)
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns})
    return frame.astype({"contribution": float})


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
    own = finder.in_kind(feature.entity, ids[feature.entity])
    rows = np.flatnonzero((table[feature.entity] == own).to_numpy())
    return table[feature.column].iloc[int(rows[0])] if len(rows) else None
