"""Models: parts put together over sharded tables, and the losses around them."""

from torchrec_ext.models.ranker import Ranker
from torchrec_ext.models.rankers import (
    conv_ncf,
    dcn_v2,
    deepfm,
    dien,
    din,
    dlrm,
    mmoe,
    youtube_ranker,
)
from torchrec_ext.models.retrievers import (
    bert4rec,
    caser,
    gru4rec,
    hstu,
    neumf,
    nextitnet,
    sasrec,
    youtube_candidates,
)
from torchrec_ext.models.tasks import RankingTask, RetrievalTask, task_for
from torchrec_ext.models.two_tower import TwoTower

__all__ = [
    "Ranker",
    "RankingTask",
    "RetrievalTask",
    "TwoTower",
    "bert4rec",
    "caser",
    "conv_ncf",
    "dcn_v2",
    "deepfm",
    "dien",
    "din",
    "dlrm",
    "gru4rec",
    "hstu",
    "mmoe",
    "neumf",
    "nextitnet",
    "sasrec",
    "task_for",
    "youtube_candidates",
    "youtube_ranker",
]
