"""field_importance(): by how much a ranker's AUC falls without the order of a feature's values."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from torchrec_ext import contracts
from torchrec_ext.batch import Batch
from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.batching.batches import take_context
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.dataset import Dataset, expect_part
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.take_feature import take_feature
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.models.inference import inference, on_device
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained

_CHUNK = 8192


def field_importance(
    model: TrainedModel,
    known: Dataset,
    targets: Dataset,
    *,
    repeats: int = 3,
    most: int = 20_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Which features matter to a ranker: the fall of its AUC when their values are permuted over the pairs.

    Two features that say the same hide each other: permuting one costs little. Every rank must call it with
    the same arguments, and computes the whole.

    Args:
        model: of a ranker.
        known: the events that histories are taken from.
        targets: the rated events to predict, as for ``evaluate``.
        repeats: permutations of each feature.
        most: pairs, drawn by chance where there are more.
        seed: of the pairs and the permutations.

    Returns:
        Columns ``feature`` (``history`` for the events of the user), ``importance`` (the mean fall of the
        AUC) and ``std`` (over the permutations), the largest first. ``attrs["auc"]`` is the AUC without
        permutation.

    Raises:
        InputError: if the model is a retriever, or the labels are all the same.

    Source: "All Models are Wrong, but Many are Useful" (Fisher, Rudin and Dominici 2019), section 3.
    """
    expect_trained(model)
    expect_at_least(1, repeats=repeats, most=most)
    for name, part in (("known", known), ("targets", targets)):
        expect_part(name, part)
    module, inputs, schema = model.module, model.inputs, model.preparation.schema
    if not isinstance(module, contracts.Ranker):
        raise InputError(
            f"field_importance needs a ranker, but the model is a {type(module).__name__}; explain a "
            "retriever's scores with explain"
        )
    model.preparation.expect_same_rows(targets.preparation, f"the split of {targets.name}")
    targets = replace(targets, preparation=model.preparation)
    examples = LabelledEvents(targets, known, inputs, model.first_task())
    read = (*inputs.fields, *inputs.dense)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(examples.events))[:most])

    def batch_of(pairs: np.ndarray, histories: np.ndarray, candidates: np.ndarray) -> Batch:
        """The pairs with the histories and the items under target attention of others."""
        users, ends = examples.users[histories], examples.ends[histories]
        batch = examples.batcher.batch(
            examples.users[pairs], examples.batcher.starts(users, ends), ends,
            items=examples.items[pairs], candidates=examples.items[candidates],
            context=take_context(examples.context(), pairs),
        )  # fmt: skip
        return on_device(batch, module)

    def auc(feature: str, others: np.ndarray) -> float:
        report = BinaryReport(sync_on_compute=False)
        for start in range(0, len(chosen), _CHUNK):
            pairs, theirs = chosen[start : start + _CHUNK], others[start : start + _CHUNK]
            history, item = (theirs if feature == name else pairs for name in ("history", "item"))
            batch = batch_of(pairs, history, item)
            if feature in read:
                batch = take_feature(batch, batch_of(theirs, theirs, theirs), feature, schema, inputs)
            labels = torch.from_numpy(examples.labels[pairs, 0])
            report.update(module(batch)[:, 0].float().sigmoid().cpu(), labels)
        return report.compute()["auc"]

    names = [*read, *["item"] * bool(inputs.candidates), *["history"] * bool(inputs.max_length)]
    rows = []
    with inference(module):
        whole = auc("", chosen)
        for name in names:
            falls = [whole - auc(name, rng.permutation(chosen)) for _ in range(repeats)]
            rows.append((name, float(np.mean(falls)), float(np.std(falls))))
    frame = pd.DataFrame(rows, columns=["feature", "importance", "std"])
    frame = frame.sort_values("importance", ascending=False, kind="stable", ignore_index=True)
    frame.attrs["auc"] = whole
    return frame
