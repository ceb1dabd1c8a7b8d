"""Events in a folder: columns that are mapped into memory, side tables, and where they came from."""

import dataclasses
import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.events import Events
from torchrec_ext.data.features import options_from
from torchrec_ext.data.source import SideMatch, Source, Step

_SIDES = ("users", "items")
_TABLE = "events.arrow"
