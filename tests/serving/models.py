"""Models that bundles are made of, with weights as they are drawn first."""

import functools
from functools import partial

import pandas as pd
import torch
import torch.distributed as dist

from tests.retrieval.trained import EVENTS, TRAIN
from torchrec_ext import plugin_names
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.target_attention import SIM

FIELDS = ("user", "user_age", "user_gender", "context_device", "context_hour")
ITEM_FIELDS = ("item_genres", "item_price")
CONTEXT = {"device": "phone", "hour": 8.0}
MODELS = {
    **{
        f"encoder {name}": lambda name=name: TwoTower(TRAIN.schema, 8, name, max_length=20)
        for name in plugin_names.built_in("encoders")
    },
    **{
        f"scorer {name}": lambda name=name: TwoTower(TRAIN.schema, 8, "gru", scorer=name)
        for name in plugin_names.built_in("scorers")
    },
    **{
        f"interaction {name}": lambda name=name: Ranker(TRAIN.schema, 8, interaction=name)
        for name in plugin_names.built_in("interactions")
        if name != "parallel"  # of others, which deepfm has
    },
    **{
        f"attention {name}": lambda name=name: Ranker(TRAIN.schema, 8, target_attention=name)
        for name in plugin_names.built_in("target_attention")
    },
    **{
        f"head {name}": lambda name=name: Ranker(TRAIN.schema, 8, head=name, first_order=name != "esmm")
        for name in plugin_names.built_in("heads")
    },
    "fields": lambda: TwoTower(
        TRAIN.schema,
        6,
        "gru",
        FIELDS[:3],
        ITEM_FIELDS,
        query_hidden=(8,),
        history_fields=("context_device", "item_genres"),
        history_mix="scale",
    ),
    "hard search": lambda: Ranker(
        TRAIN.schema,
        8,
        target_attention=partial(SIM, top_k=3, match="item_genres"),
        history_fields=("item_genres", "context_device"),
    ),
    "context": lambda: TwoTower(TRAIN.schema, 8, "sasrec", ("context_device", "context_hour")),
    "factorization": lambda: TwoTower(TRAIN.schema, 8),
    "shallow": lambda: Ranker(TRAIN.schema, 6, shallow=("user", "context_device")),
    "words": lambda: TwoTower(
        TRAIN.schema, 6, "gru", item_fields=ITEM_FIELDS, poolers={"item_genres": "text_cnn"}
    ),
    "words of a pair": lambda: Ranker(TRAIN.schema, 6, poolers={"item_genres": "gru"}),
    "tasks": lambda: Ranker(TRAIN.schema, 6, tasks=3, over_arch=(8, 4), first_order=False),
}


def model(name: str) -> TrainedModel:
    """The sharded model of that name, made once for each process group."""
    join_group()
    return _model(name, dist.group.WORLD)


@functools.cache
def _model(name: str, group: object) -> TrainedModel:
    torch.manual_seed(0)
    module = MODELS[name]()
    shard(module)
    initialise_tables(module, 0)
    for weight, value in module.named_parameters():
        if "first_order" in weight or weight.endswith("linear.weight"):  # which begin as zeros
            value.data.uniform_(-0.1, 0.1)
    return TrainedModel(module.eval(), TRAIN.preparation)


def context_of(trained: TrainedModel) -> dict | None:
    """The moment, for a model that reads it."""
    read = {*trained.inputs.fields, *trained.inputs.dense}
    return CONTEXT if any(name.startswith("context_") for name in read) else None


def frame() -> pd.DataFrame:
    """The events of the tests, as pandas shows them."""
    return EVENTS.frame
