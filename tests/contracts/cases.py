"""One line a module: how the contract tests build it."""

from torchrec_ext.encoders import GRU, MeanPool, NextItNet, SASRec
from torchrec_ext.heads import SingleHead
from torchrec_ext.interactions import (
    ConcatInteraction,
    ConvolutionInteraction,
    DotInteraction,
    FactorizationMachine,
    MLPInteraction,
)
from torchrec_ext.scorers import CosineScorer, DotScorer
from torchrec_ext.testing import Case

CASES: dict[str, list[Case]] = {
    "interactions": [
        Case(ConcatInteraction, num_fields=3, dim=8),
        Case(ConvolutionInteraction, num_fields=3, dim=8, filters=4),
        Case(ConvolutionInteraction, num_fields=3, dim=8, filters=4, kernel_size=3, channels="fields"),
        Case(DotInteraction, num_fields=2, dim=8),
        Case(DotInteraction, num_fields=4, dim=8, keep_fields=1, own_products=True),
        Case(FactorizationMachine, num_fields=3, dim=8),
        Case(FactorizationMachine, num_fields=3, dim=8, pooled=False),
        Case(MLPInteraction, num_fields=3, dim=8, hidden=[16, 8], dropout=0.2),
    ],
    "encoders": [
        Case(GRU, dim=8),
        Case(GRU, dim=8, hidden=6, layers=2, dropout=0.2),
        Case(MeanPool, dim=8),
        Case(NextItNet, dim=8),
        Case(NextItNet, dim=8, layers=1, kernel_size=2),
        Case(SASRec, dim=8, layers=1, hidden=6),
        Case(SASRec, dim=8, heads=2, max_length=4),
    ],
    "target_attention": [],
    "scorers": [
        Case(CosineScorer, dim=8, temperature=0.2),
        Case(DotScorer, dim=8),
    ],
    "heads": [
        Case(SingleHead, in_dim=8, tasks=3),
    ],
}
