"""The contracts of all plug-ins: abstract classes without shared code.

Shape letters: B batch, F fields, T events, D embedding width, K interests, C candidates, I items,
N queries, k list length. A tensor's name may end in its shape: ``fields_BFD``.

B and T may be 0: the output then has 0 rows or 0 events, and gradients are zero. Every module keeps each
argument of its constructor as an attribute of the same name, so that a run can be described and rebuilt
(:func:`torchrec_ext.plugins.specification`). A class that cannot keep a promise of the contract tests
names it in its attribute ``cannot``: a mapping from the name of the test without ``test_`` to the reason,
which the list of modules shows.
"""

from torchrec_ext.contracts.encoders import (
    MaskedEncoder,
    MultiInterestEncoder,
    SequenceEncoder,
    StreamingEncoder,
)
from torchrec_ext.contracts.groups import GROUPS
from torchrec_ext.contracts.head import Head
from torchrec_ext.contracts.index import Exclusions, Index
from torchrec_ext.contracts.interaction import Interaction
from torchrec_ext.contracts.losses import RankingLoss, RetrievalLoss
from torchrec_ext.contracts.models import Ranker, Retriever
from torchrec_ext.contracts.scorer import Scorer
from torchrec_ext.contracts.target_attention import SupervisedTargetAttention, TargetAttention
from torchrec_ext.contracts.weighs_events import WeighsEvents

__all__ = [
    "GROUPS",
    "Exclusions",
    "Head",
    "Index",
    "Interaction",
    "MaskedEncoder",
    "MultiInterestEncoder",
    "Ranker",
    "RankingLoss",
    "RetrievalLoss",
    "Retriever",
    "Scorer",
    "SequenceEncoder",
    "StreamingEncoder",
    "SupervisedTargetAttention",
    "TargetAttention",
    "WeighsEvents",
]
