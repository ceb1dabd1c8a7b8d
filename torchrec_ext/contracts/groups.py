"""GROUPS: the plug-in groups and their contracts."""

from torch import nn

from torchrec_ext.contracts.encoders import MultiInterestEncoder, SequenceEncoder
from torchrec_ext.contracts.head import Head
from torchrec_ext.contracts.interaction import Interaction
from torchrec_ext.contracts.losses import RankingLoss, RetrievalLoss
from torchrec_ext.contracts.scorer import Scorer
from torchrec_ext.contracts.target_attention import TargetAttention

GROUPS: dict[str, tuple[type[nn.Module], ...]] = {
    "interactions": (Interaction,),
    "encoders": (SequenceEncoder, MultiInterestEncoder),
    "target_attention": (TargetAttention,),
    "scorers": (Scorer,),
    "heads": (Head,),
    "losses": (RetrievalLoss, RankingLoss),
}
"""Plug-in group, which is also the name of the folder -> contracts, one of which each class implements."""
