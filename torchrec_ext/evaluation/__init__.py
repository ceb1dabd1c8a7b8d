"""Protocols and figures: what a model is worth."""

from torchrec_ext.evaluation import baselines
from torchrec_ext.evaluation.evaluate import evaluate
from torchrec_ext.evaluation.off_policy import OffPolicy, epsilon_greedy, off_policy
from torchrec_ext.evaluation.popularity import item_counts, item_mean_label
from torchrec_ext.evaluation.prequential import prequential, summarise
from torchrec_ext.evaluation.protocol_card import protocol_card
from torchrec_ext.evaluation.report import Report
from torchrec_ext.evaluation.user_values import UserValues
from torchrec_ext.evaluation.within_groups import within_groups

__all__ = [
    "OffPolicy", "Report", "UserValues", "baselines", "epsilon_greedy", "evaluate", "item_counts",
    "item_mean_label", "off_policy", "prequential", "protocol_card", "summarise", "within_groups",
]  # fmt: skip
