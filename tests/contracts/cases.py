"""One line a module: how the contract tests build it."""

from torch import nn

from tests.contracts.around import Around, RunningSum
from torchrec_ext import encoders, heads, interactions, losses, scorers, target_attention
from torchrec_ext.testing import Case

CASES: dict[str, list[Case]] = {
    "interactions": [
        Case(interactions.AutoInt, num_fields=3, dim=8),
        Case(interactions.AutoInt, num_fields=3, dim=8, layers=1, heads=3, hidden=6, dropout=0.2),
        Case(interactions.ConcatInteraction, num_fields=3, dim=8),
        Case(interactions.ConvolutionInteraction, num_fields=3, dim=8, filters=4),
        Case(
            interactions.ConvolutionInteraction,
            num_fields=3,
            dim=8,
            filters=4,
            kernel_size=3,
            channels="fields",
        ),
        Case(interactions.CrossNetwork, num_fields=3, dim=8),
        Case(interactions.CrossNetwork, num_fields=3, dim=8, low_rank=4),
        Case(interactions.CrossNetwork, num_fields=3, dim=8, layers=2, low_rank=3, experts=2),
        Case(interactions.DotInteraction, num_fields=2, dim=8),
        Case(interactions.DotInteraction, num_fields=4, dim=8, keep_fields=1, own_products=True),
        Case(interactions.FactorizationMachine, num_fields=3, dim=8),
        Case(interactions.FactorizationMachine, num_fields=3, dim=8, pooled=False),
        Case(interactions.FGCNN, num_fields=3, dim=8),
        Case(interactions.FGCNN, num_fields=5, dim=8, filters=[3], kernel_size=2, pool=3, new_maps=1),
        Case(interactions.MLPInteraction, num_fields=3, dim=8, hidden=[16, 8], dropout=0.2),
        Around(interactions.ModuleInteraction, lambda: nn.Linear(24, 5), num_fields=3, dim=8),
        Around(
            interactions.ModuleInteraction, lambda: nn.Conv1d(3, 2, 4), num_fields=3, dim=8, reads="fields"
        ),
        Case(interactions.OuterProductConvolution, num_fields=2, dim=8, filters=4),
        Case(interactions.OuterProductConvolution, num_fields=4, dim=6, filters=4),
        Case(interactions.Parallel, num_fields=3, dim=8),
        Case(interactions.Parallel, num_fields=3, dim=8, parts=["cross_network", "factorization_machine"]),
    ],
    "encoders": [
        Case(encoders.BERT4Rec, dim=8, layers=1, hidden=6),
        Case(encoders.BERT4Rec, dim=8, heads=2, max_length=4),
        Case(encoders.Caser, dim=8),
        Case(encoders.Caser, dim=8, window=1, horizontal=3, vertical=2),
        Case(encoders.ComiRec, dim=8),
        Case(encoders.ComiRec, dim=8, num_interests=2, hidden=6, max_length=4),
        Case(encoders.GRU, dim=8),
        Case(encoders.GRU, dim=8, hidden=6, layers=2, dropout=0.2),
        Case(encoders.HSTU, dim=8, layers=1),
        Case(encoders.HSTU, dim=8, heads=4, max_length=4, time_buckets=8),
        Case(encoders.LRURec, dim=8),
        Case(encoders.LRURec, dim=8, layers=1, hidden=5, r_min=0.5),
        Case(encoders.LSTM, dim=8),
        Case(encoders.LSTM, dim=8, hidden=6, layers=2),
        Case(encoders.MeanPool, dim=8),
        Around(encoders.ModuleEncoder, RunningSum, dim=8, causal=True),
        Around(encoders.ModuleEncoder, lambda: nn.Linear(8, 6), dim=8),
        Case(encoders.NARM, dim=8),
        Case(encoders.NARM, dim=8, hidden=6, layers=2, attention=3, attention_window=2),
        Case(encoders.NextItNet, dim=8),
        Case(encoders.NextItNet, dim=8, layers=1, kernel_size=2),
        Case(encoders.SASRec, dim=8, layers=1, hidden=6),
        Case(encoders.SASRec, dim=8, heads=2, max_length=4),
    ],
    "target_attention": [
        Case(target_attention.BST, dim=8),
        Case(target_attention.BST, dim=8, layers=2, heads=4, hidden=6, max_length=4, dropout=0.3),
        Case(target_attention.DIEN, dim=8),
        Case(target_attention.DIEN, dim=8, hidden=6, auxiliary_weight=0.5),
        Case(target_attention.DIN, dim=8),
        Case(target_attention.DIN, dim=8, hidden=[6, 4], activation="sigmoid", softmax=True),
    ],
    "scorers": [
        Case(scorers.CosineScorer, dim=8, temperature=0.2),
        Case(scorers.DotScorer, dim=8),
        Case(scorers.MixtureOfLogits, dim=8),
        Case(
            scorers.MixtureOfLogits, dim=8, query_parts=1, candidate_parts=3, width=4, gate=6, temperature=0.2
        ),
        Case(scorers.NeuMF, dim=8),
        Case(scorers.NeuMF, dim=8, hidden=[6]),
    ],
    "heads": [
        Case(heads.MMoEHead, in_dim=8, tasks=3, tower=[4]),
        Case(heads.MMoEHead, in_dim=8, tasks=1, experts=2, hidden=[6, 5], tower=[]),
        Case(heads.SharedBottomHead, in_dim=8, tasks=3),
        Case(heads.SharedBottomHead, in_dim=8, tasks=1, hidden=[6, 5], tower=[]),
        Case(heads.SingleHead, in_dim=8, tasks=3),
    ],
    "losses": [
        Case(losses.BinaryCrossEntropy),
        Case(losses.BinaryCrossEntropy, weigh_by_rating=True),
        Case(losses.SoftmaxCrossEntropy),
        Case(losses.SoftmaxCrossEntropy, candidates="in_batch", num_sampled=8),
    ],
}
