"""Models of each kind, trained for one short epoch on the small world."""

import functools

import torch
import torch.distributed as dist

from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.distributed import join_group
from torchrec_ext.encoders import GRU, ComiRec
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.training import Optimization, fit

EVENTS = small_world()
TRAIN, VALID, TEST = leave_last_out(EVENTS)
CONTEXT = ("context_device", "context_hour")
MODELS = {
    "history": lambda: TwoTower(TRAIN.schema, 8, GRU(8, dropout=0.0), max_length=20),
    "cosine": lambda: TwoTower(
        TRAIN.schema, 8, GRU(8, dropout=0.0), item_fields=("item_genres", "item_price"), scorer="cosine"
    ),
    "context": lambda: TwoTower(TRAIN.schema, 8, GRU(8, dropout=0.0), query_fields=CONTEXT, max_length=20),
    "user": lambda: TwoTower(TRAIN.schema, 8),
    "interests": lambda: TwoTower(TRAIN.schema, 8, ComiRec(8, num_interests=3, dropout=0.0)),
    "no index": lambda: TwoTower(TRAIN.schema, 8, GRU(8, dropout=0.0), scorer="neumf"),
    "events": lambda: TwoTower(
        TRAIN.schema, 8, GRU(8, dropout=0.0), history_fields=("context_device", "item_genres")
    ),
    "times": lambda: TwoTower(TRAIN.schema, 8, "hstu"),
    "ranker": lambda: Ranker(TRAIN.schema, 8, ("user", "user_gender", "item", "item_genres")),
    "context ranker": lambda: Ranker(TRAIN.schema, 8, ("user", "item", *CONTEXT)),
}


def trained(name: str) -> TrainedModel:
    """The model of that name, trained once for each process group: a test of a recipe may end one."""
    join_group()
    return _trained(name, dist.group.WORLD)


@functools.cache
def _trained(name: str, group: object) -> TrainedModel:
    torch.manual_seed(0)
    optimization = Optimization(global_batch_size=64, learning_rate=0.01)
    return fit(MODELS[name](), TRAIN, epochs=1, progress=False, optimization=optimization)
