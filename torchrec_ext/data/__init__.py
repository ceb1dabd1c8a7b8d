"""From a raw table to batches: reading, cleaning, vocabulary, splits, event log."""

from torchrec_ext.data.cleaning.clean import clean
from torchrec_ext.data.cleaning.sessions import sessions
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.describe import describe
from torchrec_ext.data.description import Description
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events, Source
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.data.split import SPLITS, by_ratio, by_time, by_user, leave_last_out
from torchrec_ext.data.vocabulary import Vocabulary

__all__ = [
    "SPLITS", "Dataset", "Description", "EventLog", "Events", "Preparation", "Source", "Vocabulary", "by_ratio",
    "by_time", "by_user", "clean", "describe", "leave_last_out", "read_events",
    "sessions",
]  # fmt: skip
