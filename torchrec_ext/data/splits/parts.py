"""The parts of a split as data sets of one log."""

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from torchrec_ext.data.coded import Coded
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.split_report import PART_NAMES, SplitReport
from torchrec_ext.data.splits.places import is_target
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.errors import InputError

Parts: TypeAlias = tuple[Dataset, Dataset, Dataset]
"""Train, validation and test."""

OUT, TRAIN, VALID, TEST = range(-1, 3)


def make_parts(
    events: Events,
    part: np.ndarray,
    protocol: str,
    *,
    min_count: int = 1,
    given: np.ndarray | None = None,
    folder: Path | None = None,
) -> Parts:
    """The parts as data sets.

    Args:
        events: N events.
        part: (N,) number of each event's part, -1 for none.
        protocol: how the parts were made, in words.
        min_count: an item with fewer events shares the unknown row.
        given: (N,) bool, which events their part only gives as history, beside those that weigh 0 or lack
            an item; None for no other event.
        folder: an empty one that the log and that of the training part are kept in, mapped into memory; None
            keeps them in memory.

    Raises:
        InputError: if a part is empty.
    """
    history_only = ~is_target(events)
    given = history_only if given is None else given | history_only
    for number, name in enumerate(PART_NAMES):
        if not ((part == number) & ~given).any():
            raise InputError(
                f"the {name} part of {events.source.name} is empty ({len(events):,} events, {protocol}); "
                "give more events or other settings of the split"
            )
    preparation = Preparation.fit(events, part == TRAIN, min_count=min_count)
    dropped = (part == TRAIN) & ~preparation.kept(events)
    part = np.where(dropped, OUT, part)
    if not ((part == TRAIN) & ~given).any():
        raise InputError(
            f"each training event of {events.source.name} lacks a value of a feature with missing='drop'; "
            "fill it in another way"
        )
    if dropped.any():
        preparation = replace(
            preparation, trained=TrainedIds.of(events, part == TRAIN, preparation.vocabularies)
        )
    report = SplitReport.of(events, part, given, protocol, _catalogue(events, preparation))
    log = preparation.log(events, None if folder is None else folder / "log")
    part, given = part[log.source_rows], given[log.source_rows]

    def dataset(number: int) -> Dataset:
        aside = given if number != TRAIN else np.zeros_like(given)  # training reads its history in place
        rows = np.flatnonzero((part == number) & ~aside)
        own = log.select(rows, folder / "train") if folder is not None and number == TRAIN else None
        return Dataset(
            preparation,
            log,
            rows=rows,
            given=np.flatnonzero((part == number) & aside),
            name=PART_NAMES[number],
            report=report,
            table=events,
            own=own,
        )

    return dataset(TRAIN), dataset(VALID), dataset(TEST)


def _catalogue(events: Events, preparation: Preparation) -> np.ndarray | None:
    """(words,) bool, which items may be recommended."""
    items = events.columns.get("item")
    if not isinstance(items, Coded):
        return None
    return np.isin(preparation.vocabularies["item"].rows(items.words), preparation.trained.catalogue)
