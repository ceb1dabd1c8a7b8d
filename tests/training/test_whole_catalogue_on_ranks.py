"""When each rank looks up so much of the item table that the ranks gather it."""

import numpy as np
import pytest

from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.models import TwoTower
from torchrec_ext.training.examples import catalogue_on_every_rank

ITEMS = 30


@pytest.mark.parametrize(
    ("kind", "learnt", "ranks", "gathers"),
    [
        ("catalogue", ITEMS, 1, True),
        ("catalogue", ITEMS, 2, False),  # which divide it
        ("catalogue", 3, 1, False),  # a table of millions may have a row for each
        ("sampled", ITEMS, 1, False),
    ],
)
def test_a_table_is_gathered_if_most_of_it_is_looked_up(kind, learnt, ranks, gathers):
    train = leave_last_out(small_world())[0]
    candidates = Candidates(kind, np.ones(ITEMS), catalogue_C=np.arange(1, learnt + 1), ranks=ranks)
    examples = NextEvents(train, TwoTower(train.schema, 8, "gru").inputs, candidates)
    assert catalogue_on_every_rank(examples) == gathers
