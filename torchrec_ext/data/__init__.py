"""From a raw table to batches: reading, cleaning, vocabulary, splits, event log."""

from torchrec_ext.data.append import append
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.description import Description, describe
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.filters.clean import clean
from torchrec_ext.data.filters.sessions import sessions
from torchrec_ext.data.freshness import freshness
from torchrec_ext.data.join_events import join_events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.prepared import SPLITS, open_prepared, prepare
from torchrec_ext.data.source import Source
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.data.split_report import SplitReport
from torchrec_ext.data.splits.as_marked import as_marked
from torchrec_ext.data.splits.at_random import by_ratio, by_user
from torchrec_ext.data.splits.by_time import by_time, rolling_windows
from torchrec_ext.data.splits.leave_last import leave_last_n, leave_last_out
from torchrec_ext.data.vocabulary import Vocabulary

__all__ = [
    "SPLITS", "Dataset", "Declaration", "Description", "EventLog", "Events", "Preparation", "Source",
    "SplitReport", "TableFile", "Vocabulary", "append", "as_marked", "by_ratio", "by_time", "by_user",
    "clean", "describe", "freshness", "join_events", "leave_last_n", "leave_last_out", "open_prepared",
    "prepare", "read_events", "rolling_windows", "sessions",
]  # fmt: skip
