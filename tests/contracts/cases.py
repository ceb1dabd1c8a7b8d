"""One line a module: how the contract tests build it."""

from torchrec_ext.encoders import GRU, HSTU, BERT4Rec, ComiRec, LRURec, MeanPool, NextItNet, SASRec
from torchrec_ext.heads import MMoEHead, SharedBottomHead, SingleHead
from torchrec_ext.interactions import (
    FGCNN,
    AutoInt,
    ConcatInteraction,
    ConvolutionInteraction,
    CrossNetwork,
    DotInteraction,
    FactorizationMachine,
    MLPInteraction,
    OuterProductConvolution,
    Parallel,
)
from torchrec_ext.scorers import CosineScorer, DotScorer
from torchrec_ext.target_attention import BST, DIEN, DIN
from torchrec_ext.testing import Case

CASES: dict[str, list[Case]] = {
    "interactions": [
        Case(AutoInt, num_fields=3, dim=8),
        Case(AutoInt, num_fields=3, dim=8, layers=1, heads=3, hidden=6, dropout=0.2),
        Case(ConcatInteraction, num_fields=3, dim=8),
        Case(ConvolutionInteraction, num_fields=3, dim=8, filters=4),
        Case(ConvolutionInteraction, num_fields=3, dim=8, filters=4, kernel_size=3, channels="fields"),
        Case(CrossNetwork, num_fields=3, dim=8),
        Case(CrossNetwork, num_fields=3, dim=8, low_rank=4),
        Case(CrossNetwork, num_fields=3, dim=8, layers=2, low_rank=3, experts=2),
        Case(DotInteraction, num_fields=2, dim=8),
        Case(DotInteraction, num_fields=4, dim=8, keep_fields=1, own_products=True),
        Case(FactorizationMachine, num_fields=3, dim=8),
        Case(FactorizationMachine, num_fields=3, dim=8, pooled=False),
        Case(FGCNN, num_fields=3, dim=8),
        Case(FGCNN, num_fields=5, dim=8, filters=[3], kernel_size=2, pool=3, new_maps=1),
        Case(MLPInteraction, num_fields=3, dim=8, hidden=[16, 8], dropout=0.2),
        Case(OuterProductConvolution, num_fields=2, dim=8, filters=4),
        Case(OuterProductConvolution, num_fields=4, dim=6, filters=4),
        Case(Parallel, num_fields=3, dim=8),
        Case(Parallel, num_fields=3, dim=8, parts=["cross_network", "factorization_machine"]),
    ],
    "encoders": [
        Case(BERT4Rec, dim=8, layers=1, hidden=6),
        Case(BERT4Rec, dim=8, heads=2, max_length=4),
        Case(ComiRec, dim=8),
        Case(ComiRec, dim=8, num_interests=2, hidden=6, max_length=4),
        Case(GRU, dim=8),
        Case(GRU, dim=8, hidden=6, layers=2, dropout=0.2),
        Case(HSTU, dim=8, layers=1),
        Case(HSTU, dim=8, heads=4, max_length=4, time_buckets=8),
        Case(LRURec, dim=8),
        Case(LRURec, dim=8, layers=1, hidden=5, r_min=0.5),
        Case(MeanPool, dim=8),
        Case(NextItNet, dim=8),
        Case(NextItNet, dim=8, layers=1, kernel_size=2),
        Case(SASRec, dim=8, layers=1, hidden=6),
        Case(SASRec, dim=8, heads=2, max_length=4),
    ],
    "target_attention": [
        Case(BST, dim=8),
        Case(BST, dim=8, layers=2, heads=4, hidden=6, max_length=4, dropout=0.3),
        Case(DIEN, dim=8),
        Case(DIEN, dim=8, hidden=6, auxiliary_weight=0.5),
        Case(DIN, dim=8),
        Case(DIN, dim=8, hidden=[6, 4], activation="sigmoid", softmax=True),
    ],
    "scorers": [
        Case(CosineScorer, dim=8, temperature=0.2),
        Case(DotScorer, dim=8),
    ],
    "heads": [
        Case(MMoEHead, in_dim=8, tasks=3, tower=[4]),
        Case(MMoEHead, in_dim=8, tasks=1, experts=2, hidden=[6, 5], tower=[]),
        Case(SharedBottomHead, in_dim=8, tasks=3),
        Case(SharedBottomHead, in_dim=8, tasks=1, hidden=[6, 5], tower=[]),
        Case(SingleHead, in_dim=8, tasks=3),
    ],
}
