"""Events that came after a training, as targets behind everything that was known before."""

import dataclasses
import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from torchrec_ext.data import Dataset, Events, Preparation, SplitReport
from torchrec_ext.data.split_report import TEST, TRAIN

log = logging.getLogger(__name__)

_MARK = "added after the training"


class Newer(NamedTuple):
    """What was known before, and the events that came after."""

    known: Dataset
    targets: Dataset


def newer_events(
    raw: Events,
    added: np.ndarray,
    clean: Callable[[Events], Events],
    preparation: Preparation,
    protocol: str,
) -> Newer | None:
    """Splits events into those of a training and those that were added after it.

    Args:
        raw: N events as read.
        added: (N,) bool, which were added.
        clean: cleans them as for the training, but keeps users and items with few events.
        preparation: of the training; ids that it does not have stay unknown.
        protocol: how the training was split, in words.

    Returns:
        All events up to the training, whatever their part was, and the added ones; None where cleaning
        leaves no added event.
    """
    marked = dataclasses.replace(
        raw, table=raw.table.append_column(_MARK, pa.array(added.astype(np.float64)))
    )
    events = clean(marked)
    marks = events.numbers(_MARK)
    assert marks is not None
    part = np.where(marks > 0, TEST, TRAIN)
    given, left = int(added.sum()), int((part == TEST).sum())
    if left < given:
        log.info("cleaning removed %s of the %s added events", f"{given - left:,}", f"{given:,}")
    history_only = (part == TEST) & ~events.is_target()
    if not ((part == TEST) & ~history_only).any():
        return None
    report = SplitReport.of(events, part, history_only, f"{protocol}; test: events added after the training")
    event_log = preparation.log(events)
    part, history_only = part[event_log.source_rows], history_only[event_log.source_rows]

    def dataset(number: int, name: str) -> Dataset:
        mine = part == number
        return Dataset(
            preparation, event_log, np.flatnonzero(mine & ~history_only),
            np.flatnonzero(mine & history_only), name, report, events,
        )  # fmt: skip

    return Newer(dataset(TRAIN, "train + valid + test"), dataset(TEST, "added"))
