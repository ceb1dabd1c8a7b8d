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
    min_count: int = 1,
    history_only: np.ndarray | None = None,
    folder: Path | None = None,
) -> Parts:
    """The parts as data sets.

    Args:
        events: N events.
        part: (N,) number of each event's part, -1 for none.
        protocol: how the parts were made, in words.
        min_count: an item with fewer events shares the unknown row.
        history_only: (N,) bool, which events their part only gives as history, beside those that weigh 0 or
            lack an item; None for no other event.
        folder: an empty one that the log and that of the training part are kept in, mapped into memory; None
            keeps them in memory.

    Raises:
        InputError: if a part is empty.
    """
    given = ~is_target(events)
    if history_only is not None:
        given |= history_only
    for number, name in enumerate(PART_NAMES):
        if not ((part == number) & ~given).any():
            raise InputError(
                f"the {name} part of {events.source.name} is empty ({len(events):,} events, {protocol}); "
                "give more events or other settings of the split"
            )
    events.release_pages()
    preparation = Preparation.fit(events, part == TRAIN, min_count=min_count)
    dropped = (part == TRAIN) & ~preparation.kept(events)
    if dropped.any():
        part = np.where(dropped, OUT, part)
        if not ((part == TRAIN) & ~given).any():
            raise InputError(
                f"each training event of {events.source.name} lacks a value of a feature with "
                "missing='drop'; fill it in another way"
            )
        trained = TrainedIds.of(events, part == TRAIN, preparation.vocabularies)
        preparation = replace(preparation, trained=trained)
    catalogue = None
    if "item" in events.table.column_names:
        rows = preparation.vocabularies["item"].rows(events.distinct("item"))
        catalogue = np.isin(rows, preparation.trained.catalogue)
    events.release_pages()
    report = SplitReport.of(events, part, given, protocol, catalogue)
    events.release_pages()
    log = preparation.log(events, None if folder is None else folder / "log")
    events.release_pages()
    part, given = part[log.source_rows], given[log.source_rows]
    given &= part != TRAIN  # training reads its history in place

    def dataset(number: int) -> Dataset:
        mine = part == number
        rows = np.flatnonzero(mine & ~given)
        own = log.select(rows, folder / "train") if folder is not None and number == TRAIN else None
        return Dataset(
            preparation, log, rows, np.flatnonzero(mine & given), PART_NAMES[number], report, events, own
        )

    train, valid, test = map(dataset, range(len(PART_NAMES)))
    return train, valid, test


def is_target(events: Events) -> np.ndarray:
    """(N,) bool, which events may be learnt or predicted; the others are only read as history."""
    weights = events.target_weights()
    return np.ones(len(events), bool) if weights is None else weights > 0
