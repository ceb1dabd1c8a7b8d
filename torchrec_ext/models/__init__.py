"""Models: parts put together over sharded tables, and the losses around them."""

from torchrec_ext.models.ranker import Ranker
from torchrec_ext.models.tasks import RankingTask, RetrievalTask, task_for
from torchrec_ext.models.two_tower import TwoTower

__all__ = ["Ranker", "RankingTask", "RetrievalTask", "TwoTower", "task_for"]
