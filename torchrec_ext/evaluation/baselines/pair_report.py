"""pair_report(): the figures of a baseline's scores of labelled pairs."""

import numpy as np
import torch

from torchrec_ext.data.batching.labelled_events import LabelledEvents, label_column
from torchrec_ext.data.positive import Positive
from torchrec_ext.evaluation.labels import in_words
from torchrec_ext.evaluation.report import Report
from torchrec_ext.evaluation.within_groups import within_groups
from torchrec_ext.metrics import BinaryReport


def pair_report(
    scores: np.ndarray,
    wanted: LabelledEvents,
    positive: Positive,
    group: str | None,
    about: str,
    *,
    probabilities: bool = True,
) -> Report:
    """The report on scores of labelled pairs.

    Args:
        scores: (N,) floats from 0 to 1, higher is better.
        wanted: the N pairs.
        positive: how their labels were made.
        group: a label column, within whose groups the pairs are ranked too.
        about: how the scores were made, for the protocol.
        probabilities: whether they are; otherwise the AUC is the only figure of all pairs.
    """
    report = BinaryReport(sync_on_compute=False)
    report.update(torch.from_numpy(scores.astype(np.float32)), torch.from_numpy(wanted.labels[:, 0]))
    figures = report.compute()
    if not probabilities:
        figures = {"auc": figures["auc"]}
    protocol = f"{wanted.train.protocol}; {in_words(wanted, positive)}; {about}"
    if group is not None:
        groups = label_column(wanted.log, group)[wanted.events]
        figures |= within_groups(scores, wanted.labels[:, 0], groups)
        protocol += f"; ranked within each {group}"
    return Report(figures, protocol=protocol, part=wanted.train.name)
