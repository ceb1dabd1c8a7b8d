"""The parts of a split as data sets of one log."""

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.split_report import OUT, PART_NAMES, TRAIN, SplitReport
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.errors import InputError

Parts: TypeAlias = tuple[Dataset, Dataset, Dataset]
"""Train, validation and test."""


def make_parts(
    events: Events,
    part: np.ndarray,
    protocol: str,
    *,
    history_only: np.ndarray | bool = False,
    min_count: int,
    folder: Path | None,
) -> Parts:
    """The parts as data sets, from the (N,) number of each event's part, -1 for none.

    ``history_only`` (N,) bool marks events that their part only reads as history, beside those that weigh 0
    or lack an item. For ``min_count`` and ``folder`` see ``leave_last_out``.
    """
    targets = events.is_target() & np.logical_not(history_only)
    for number, name in enumerate(PART_NAMES):
        if not (targets & (part == number)).any():
            raise InputError(
                f"the {name} part of {events.source.name} is empty ({len(events):,} events, {protocol}); "
                "give more events or other settings of the split"
            )
    events.release_pages()
    preparation = Preparation.fit(events, part == TRAIN, min_count=min_count)
    dropped = (part == TRAIN) & ~preparation.kept(events)
    if dropped.any():
        part = np.where(dropped, OUT, part)
        if not (targets & (part == TRAIN)).any():
            raise InputError(
                f"each training event of {events.source.name} lacks a value of a feature with "
                "missing='drop'; fill it in another way"
            )
        trained = TrainedIds.of(events, part == TRAIN, preparation.vocabularies)
        preparation = replace(preparation, trained=trained)
    catalogue = None
    if "item" in events.columns:
        rows = preparation.vocabularies["item"].rows(events.distinct("item"))
        catalogue = np.isin(rows, preparation.trained.catalogue)
    events.release_pages()
    report = SplitReport.of(events, part, ~targets, protocol, catalogue)
    events.release_pages()
    log = preparation.log(events, None if folder is None else folder / "log")
    events.release_pages()
    part, targets = part[log.source_rows], targets[log.source_rows]
    targets |= part == TRAIN  # training reads its history in place

    def dataset(number: int) -> Dataset:
        rows, history = (np.flatnonzero(chosen & (part == number)) for chosen in (targets, ~targets))
        own = log.select(rows, folder / "train") if folder is not None and number == TRAIN else None
        return Dataset(preparation, log, rows, history, PART_NAMES[number], report, events, own)

    train, valid, test = map(dataset, range(len(PART_NAMES)))
    return train, valid, test
