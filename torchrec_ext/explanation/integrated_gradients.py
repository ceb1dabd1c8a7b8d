"""Integrated gradients of a score over the looked-up vectors of events and fields."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchrec_ext import contracts
from torchrec_ext.batch import Batch
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.attribution import Attribution
from torchrec_ext.explanation.pair import Pair, score_queries
from torchrec_ext.explanation.take_feature import take_feature, unknown_features
from torchrec_ext.models.event_vectors import event_vectors


def integrated_gradients(pair: Pair, steps: int = 64) -> Attribution:
    """What each event and feature adds to the score on the straight way from a baseline to the example.

    The baseline has a vector of zeros for each event, and every feature unknown. The contributions add up
    to the score less that of the baseline, but for the error of the numerical integral.

    Args:
        pair: of a ``TwoTower`` or a ``Ranker``, trained or opened from a bundle.
        steps: points of the integral.

    Raises:
        InputError: if captum is not installed, or the model is another.

    Source: "Axiomatic Attribution for Deep Networks" (Sundararajan, Taly and Yan 2017), section 3.
    """
    captum = _captum()
    module: Any = pair.module
    if not hasattr(module, "embeddings") or not (hasattr(module, "towers") or hasattr(module, "arch")):
        raise InputError(
            f"integrated_gradients needs a TwoTower or a Ranker, but the model is a {type(module).__name__}; "
            "use leave_one_out"
        )
    here, away, score_of = _parts(pair)
    score, baseline = (float(score_of(*parts.values())) for parts in (here, away))
    if not here:
        return Attribution(score, np.zeros(0), {}, baseline)
    # cuDNN has no backward pass of a recurrence in evaluation mode
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        method = captum.IntegratedGradients(score_of)
        found = method.attribute(tuple(here.values()), tuple(away.values()), n_steps=steps)
    totals = {name: part[0].detach().double().flatten(1).sum(1).cpu().numpy()
              for name, part in zip(here, found, strict=True)}  # fmt: skip
    features = dict.fromkeys(pair.inputs.fields, 0.0)
    for part, names in (("fields", pair.inputs.pooled), ("weights", pair.inputs.fields)):
        for name, total in zip(names, totals.get(part, ()), strict=part in totals):
            features[name] += float(total)
    start = 0
    for name in pair.inputs.dense:
        stop = start + pair.preparation.schema.dense_width([name])
        features[name] = float(totals["dense"][start:stop].sum())
        start = stop
    return Attribution(score, totals.get("history", np.zeros(0)), features, baseline)


def _parts(pair: Pair) -> tuple[dict[str, Tensor], dict[str, Tensor], Callable[..., Tensor]]:
    """``(1, parts, width)`` of each kind of the example and of the baseline, and S of them to (S,) scores."""
    module: Any = pair.module
    batch = pair.batch()
    unknown = unknown_features(batch, pair.preparation, pair.inputs)
    fields, sequences = module.embeddings(batch)
    here: dict[str, Tensor] = {}
    away: dict[str, Tensor] = {}
    if len(pair.events):
        here["history"] = event_vectors(sequences, pair.inputs, batch).values()[None]
        away["history"] = torch.zeros_like(here["history"])
    if fields is not None:
        here["fields"], away["fields"] = fields, module.embeddings(unknown)[0]
    if pair.inputs.dense:
        here["dense"], away["dense"] = batch.dense[..., None], unknown.dense[..., None]
    weights_1T, changes = _first_order(pair, batch, unknown)
    if changes is not None:
        here["weights"], away["weights"] = changes, torch.zeros_like(changes)
    names = list(here)
    item = pair.item_vector() if isinstance(module, contracts.Retriever) else None

    def score_of(*parts: Tensor) -> Tensor:
        given, count = dict(zip(names, parts, strict=True)), len(parts[0]) if parts else 1
        dense = given["dense"][..., 0] if "dense" in given else batch.dense.new_zeros(count, 0)
        times = None if batch.history_times is None else batch.history_times.repeat(count)
        matches = None if batch.history_matches is None else batch.history_matches.repeat(count)
        example = replace(
            batch,
            dense=dense,
            history_times=times,
            history_lengths={},
            history_matches=matches,
            candidate_lengths={n: lengths.repeat(count) for n, lengths in batch.candidate_lengths.items()},
        )
        vectors = _sequences(pair, sequences, given.get("history"), count)
        if item is not None:
            queries = module.towers.query_tower(given.get("fields"), vectors, example)
            return score_queries(module, queries.float(), item)
        weights = None if weights_1T is None else weights_1T.expand(count, -1)
        if "weights" in given and weights is not None:
            weights = weights + given["weights"].sum(1)
        return module.arch(given.get("fields"), vectors, weights, example)[:, 0].float().sigmoid()

    return here, away, score_of


def _sequences(pair: Pair, found: dict[str, Any], history: Tensor | None, count: int) -> dict[str, Any]:
    """The looked-up sequences of ``count`` examples; the features of events are in the history's vectors."""
    sequences: dict[str, Any] = {}
    for key, jagged in found.items():
        values, lengths = jagged.values(), jagged.lengths()
        if key == "history" and history is not None:
            values = history.flatten(0, 1)
        elif key.startswith("history"):
            events = len(pair.events) if key != "history" else 0
            values = values.new_zeros(count * events, values.shape[1])
        else:
            values = values.repeat(count, 1)
        each = len(values) // count
        sequences[key] = type(jagged)(values=values, lengths=torch.full((count,), each).to(lengths))
    return sequences


def _first_order(pair: Pair, batch: Batch, unknown: Batch) -> tuple[Tensor | None, Tensor | None]:
    """``(1, tasks)`` sum of the ids' weights with every feature unknown, ``(1, F, tasks)`` what each adds."""
    id_weights = getattr(pair.module, "id_weights", None)
    if id_weights is None:
        return None, None
    weights_1T = id_weights(unknown)
    schema, inputs = pair.preparation.schema, pair.inputs
    added = [
        id_weights(take_feature(unknown, batch, name, schema, inputs)) - weights_1T for name in inputs.fields
    ]
    return weights_1T, torch.stack(added, 1) if added else None


def _captum() -> ModuleType:
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        raise InputError(
            "integrated_gradients needs captum, which is not installed; run pip install "
            "'torchrec-ext[explain]', or use leave_one_out"
        ) from error
    return captum.attr
