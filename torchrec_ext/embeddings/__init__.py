"""Adapters from lookups of sharded tables to the tensors that interactions and encoders take."""

from torchrec_ext import compatibility

compatibility.check()

from torchrec_ext.embeddings.first_order import FirstOrder
from torchrec_ext.embeddings.initialise import initialise_tables
from torchrec_ext.embeddings.last_state import last_state
from torchrec_ext.embeddings.pad_history import pad_history
from torchrec_ext.embeddings.spread_candidates import spread_candidates
from torchrec_ext.embeddings.stack_fields import FieldProjection, stack_fields
from torchrec_ext.embeddings.tables import Embeddings

__all__ = [
    "Embeddings", "FieldProjection", "FirstOrder", "initialise_tables", "last_state", "pad_history",
    "spread_candidates", "stack_fields",
]  # fmt: skip
