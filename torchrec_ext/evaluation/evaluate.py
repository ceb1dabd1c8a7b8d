"""evaluate(): the figures of a model on a part of a split."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from torchrec_ext import contracts
from torchrec_ext.data.batching.labelled_events import LabelledEvents, label_column
from torchrec_ext.data.dataset import Dataset, expect_part
from torchrec_ext.data.positive import Positive, tasks_of
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.evaluation.costs import largest_rank_bytes
from torchrec_ext.evaluation.full_ranking import full_ranking, list_lengths
from torchrec_ext.evaluation.labels import in_words
from torchrec_ext.evaluation.protocol_card import protocol_card
from torchrec_ext.evaluation.report import Report
from torchrec_ext.evaluation.scored_users import scored_users
from torchrec_ext.evaluation.within_groups import within_groups
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def evaluate(
    model: TrainedModel,
    known: Dataset,
    targets: Dataset,
    k: int | Sequence[int] = (10, 50),
    *,
    candidates: Sequence | np.ndarray | pd.Series | None = None,
    exclude_seen: bool = True,
    positive: Positive | None = None,
    group: str | None = None,
    chunk: int = 1024,
    progress: bool = False,
    per_user: bool = False,
) -> Report:
    """Evaluates a retriever in full ranking, a ranker on labelled pairs; every rank must call it.

    Retrieval: the figures are those of the lists that :func:`torchrec_ext.retrieval.recommend` makes of
    the events in ``known``. A user's targets are all of the user's events in ``targets``. Every item of
    the catalogue is ranked, but those the user has an event with in ``known``; ties go to the lower
    row. A target that is left out so, or that the catalogue does not have because training has not learnt
    from it, counts as not found: the protocol says how many are, and a warning if many were seen. A user
    of whom the model knows nothing gets the popular items.

    Ranking: the pairs are the rated events; a pair's history is what its user has in ``known`` before it.
    Of labels that are all the same the AUC is NaN.

    Args:
        model: trained by fit, opened by load, or a :class:`~torchrec_ext.retrieval.TrainedModel` of your own.
        known: the events that histories and seen items are taken from, such as ``train``, or
            ``train + valid`` before the test.
        targets: the events to predict; of a model that reads the context, a user's first one gives it.
        k: one or several list lengths, for a retriever.
        candidates: of a retriever, ids of the only items that are ranked, such as those of one domain; None
            ranks the catalogue. Any other target counts as not in the catalogue.
        exclude_seen: see above; False where items are taken again and again.
        positive: least rating of an interested user, for a ranker; one for each task. None takes that of the
            training.
        group: of a ranker, a label column such as the number of an impression: the report then also has the
            figures of :func:`~torchrec_ext.evaluation.within_groups.within_groups`.
        chunk: users at a time.
        progress: shows a bar on rank 0.
        per_user: keeps the values of each user as ``report.per_user``, about 500 bytes a user, for
            intervals and comparisons; see :class:`~torchrec_ext.evaluation.UserValues`.

    Returns:
        The figures by name; the same on every rank. Of a ranker of several tasks they are those of the first,
        and the AUC of each other one, such as ``like_auc``.

    Raises:
        InputError: for a list longer than the catalogue, targets that are known to a retriever, or a split
            of other events than the model was trained on.

    Sources:
        Definitions: :class:`torchrec_ext.metrics.RetrievalReport` and ``BinaryReport``.
    """
    expect_trained(model)
    for name, part in (("known", known), ("targets", targets)):
        expect_part(name, part)
    module, preparation = model.module, model.preparation
    preparation.expect_same_rows(targets.preparation, f"the split of {targets.name}")
    began = time.monotonic()
    with inference(module):
        if isinstance(module, contracts.Ranker):
            tasks = tasks_of(model.positive if positive is None else positive)
            report = _evaluate_ranker(module, preparation, known, targets, tasks, group, progress, per_user)
        else:
            assert isinstance(module, contracts.Retriever)
            report = full_ranking(
                module, known, targets, list_lengths(k), preparation=preparation, candidates=candidates,
                exclude_seen=exclude_seen, chunk=chunk, progress=progress, per_user=per_user,
            )  # fmt: skip
    seconds = time.monotonic() - began
    report.card |= {"evaluation_seconds": seconds, "bytes_a_rank": largest_rank_bytes(module)}
    return report


def _evaluate_ranker(
    model: contracts.Ranker,
    preparation: Preparation,
    known: Dataset,
    targets: Dataset,
    tasks: list[tuple[str, float]],
    group: str | None,
    progress: bool,
    per_user: bool,
) -> Report:
    first = dict(tasks[:1])
    examples = LabelledEvents(
        replace(targets, preparation=preparation), known, model.inputs, first, one_class=True
    )
    scores_NT = score_pairs(
        model, examples.batcher, examples.users, examples.ends, examples.items, examples.context(),
        every_task=True, progress=progress,
    )  # fmt: skip
    scores = scores_NT[:, 0]
    report = BinaryReport(sync_on_compute=False)
    report.update(scores, torch.from_numpy(examples.labels[:, 0]))
    protocol, figures = f"{targets.protocol}; {in_words(examples, first)}", report.compute()
    for (column, least), others in zip(tasks[1:], scores_NT.T[1:], strict=False):
        name = f"{column}_auc" if [c for c, _ in tasks].count(column) == 1 else f"{column}>={least:g}_auc"
        figures[name] = _auc(others, label_column(examples.log, column)[examples.events], least)
    if group is not None:
        groups = label_column(examples.log, group)[examples.events]
        figures |= within_groups(scores.numpy(), examples.labels[:, 0], groups)
        protocol += f"; ranked within each {group}"
    values = scored_users(examples, scores, known, targets, preparation) if per_user else None
    return Report(
        figures, protocol=protocol, part=targets.name, card=protocol_card(known, targets), per_user=values
    )


def _auc(scores: torch.Tensor, values: np.ndarray, least: float) -> float:
    """AUC of a further task, over the events that have a value."""
    rated = ~np.isnan(values)
    report = BinaryReport(sync_on_compute=False)
    report.update(scores[torch.from_numpy(rated)], torch.from_numpy(values[rated] >= least))
    return report.compute()["auc"]
