"""item_map(): the items as points of a plane, with their categories in colour."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained

Method = Literal["pca", "umap"]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b", "#000000")
_MARKERS = "osD^vP*X"
_INK, _FAINT = "#333333", "#c8c8c8"


def item_positions(model: TrainedModel, method: Method = "pca", seed: int = 0) -> pd.DataFrame:
    """Two coordinates of each item, near each other where the vectors point the same way.

    Every rank must call it.

    Args:
        model: of a retriever.
        method: ``pca``, the two directions in which the normalised vectors differ most; or ``umap``, which
            keeps neighbours together and needs umap-learn (the extra ``umap``).
        seed: of UMAP.

    Returns:
        Columns ``item``, ``x`` and ``y``. ``attrs["explained"]``: of PCA, the share of the variance.

    Raises:
        InputError: if the model is a ranker, has fewer than 3 items, or umap-learn is not installed.

    Source: UMAP: McInnes, Healy and Melville 2018.
    """
    expect_trained(model)
    expect_one_of("method", method, get_args(Method))
    ids, vectors = model.item_vectors(as_tensors=True)
    if len(ids) < 3:
        raise InputError(f"a map needs at least 3 items, but the catalogue has {len(ids)}")
    unit = functional.normalize(vectors, dim=1)
    points, explained = (_umap(unit, seed), None) if method == "umap" else _pca(unit)
    frame = pd.DataFrame({"item": ids, "x": points[:, 0], "y": points[:, 1]})
    frame.attrs["explained"] = explained
    return frame


def item_map(
    model: TrainedModel,
    data: Events,
    colour: str | None = None,
    *,
    method: Method = "pca",
    seed: int = 0,
) -> Figure:
    """A figure of the items, each a point; every rank must call it.

    Args:
        model: of a retriever.
        data: whose table of items has the categories.
        colour: column of ``data.items``, such as ``"genres"``: the seven most frequent values have a colour
            and a shape of their own. Of several values of an item the first counts. None draws all alike.
        method: see :func:`item_positions`.
        seed: of UMAP.

    Raises:
        InputError: as for :func:`item_positions`, or if there is no such column.

    Example:
        >>> import torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> songs = pd.DataFrame({"item": list("abcd"), "kind": ["pop", "pop", "jazz", "jazz"]})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard, items=songs))
        >>> model = tx.models.TwoTower(train.schema, dim=4)
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> [text.get_text() for text in item_map(trained, events, "kind").legends[0].get_texts()]
        ['jazz', 'pop']
    """
    expect_events(data)
    points = item_positions(model, method, seed)
    kinds = None if colour is None else _kinds(data, colour, points["item"])
    figure = Figure(figsize=(8, 6), dpi=150)
    FigureCanvasAgg(figure)  # a separate canvas, so that pyplot's state is not touched
    figure.set_layout_engine("constrained")
    panel = figure.add_subplot()
    size = float(np.clip(12000 / len(points), 4, 40))
    named = [] if kinds is None else sorted(kinds.value_counts().index[: len(_COLOURS) - 1])
    others = points if kinds is None else points[~kinds.isin(named).to_numpy()]
    label = "other" if named and len(others) else None
    panel.scatter(others["x"], others["y"], size, color=_FAINT if named else _COLOURS[0], lw=0, label=label)
    for kind, shade, marker in zip(named, _COLOURS, _MARKERS, strict=False):
        some = points[(kinds == kind).to_numpy()]
        panel.scatter(some["x"], some["y"], size, color=shade, marker=marker, lw=0, alpha=0.8, label=kind)
    shares = enumerate(points.attrs["explained"] or [], 1)
    x_label, y_label = [f"component {i}: {v:.0%} of variance" for i, v in shares] or ["x", "y"]
    panel.set_xlabel(x_label, color=_INK)
    panel.set_ylabel(y_label, color=_INK)
    panel.set_title(f"Item vectors ({method.upper()})", color=_INK, loc="left")
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_color(_FAINT)
    if named:
        legend = figure.legend(loc="outside right upper", title=colour, frameon=False, labelcolor=_INK)
        for handle in legend.legend_handles:
            handle.set_sizes([40])  # type: ignore[union-attr]
    return figure


def _kinds(data: Events, column: str, ids: pd.Series) -> pd.Series:
    """(I,) category of each item as a string; missing where it has none."""
    table = data.items
    if table is None or column not in table:
        there = "no table of items" if table is None else ", ".join(map(str, table.columns))
        raise InputError(f"colour should be a column of the items, received {column!r}; there is {there}")
    values = table.drop_duplicates("item").set_index("item")[column].reindex(ids)
    first = [v[0] if isinstance(v, list | tuple | np.ndarray) and len(v) else v for v in values]
    words = [str(v) if pd.api.types.is_scalar(v) and not pd.isna(v) else None for v in first]
    return pd.Series(words, dtype=object)


def _pca(vectors: Tensor) -> tuple[np.ndarray, list[float]]:
    """(I, 2) coordinates along the two principal directions, and the share of the variance of each."""
    centred = (vectors - vectors.mean(0)).double()
    values, directions = torch.linalg.eigh(centred.T @ centred)
    chosen = directions[:, [-1, -2]] if len(values) > 1 else directions[:, [0, 0]]
    # an eigenvector's sign is arbitrary: its largest part is positive
    signs = chosen.gather(0, chosen.abs().argmax(0, keepdim=True)).sign()
    shares = values.clamp(min=0) / values.clamp(min=0).sum().clamp(min=1e-30)
    return (centred @ (chosen * signs)).numpy(), shares.flip(0)[:2].tolist()


def _umap(vectors: Tensor, seed: int) -> np.ndarray:
    try:
        import umap
    except ModuleNotFoundError as error:
        raise InputError(
            "method='umap' needs umap-learn, which is not installed; run pip install 'torchrec-ext[umap]', "
            "or use method='pca'"
        ) from error
    return umap.UMAP(n_components=2, metric="cosine", random_state=seed).fit_transform(vectors.numpy())
