"""Modules that break one promise each, and a target attention that keeps them all."""

import random

import torch
from torch import nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import (
    Interaction,
    MultiInterestEncoder,
    Scorer,
    SequenceEncoder,
    StreamingEncoder,
    TargetAttention,
)
from torchrec_ext.padding import real_events


class Mean(Interaction):
    """Keeps every promise; those below change one thing."""

    def __init__(self, num_fields: int, dim: int):
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        self.num_fields, self.dim, self.out_dim = num_fields, dim, dim
        self.weight = nn.Parameter(torch.rand(dim))

    def forward(self, fields_BFD):
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        return self.weight * fields_BFD.mean(1)


class WrongOutDim(Mean):
    def __init__(self, num_fields: int, dim: int):
        super().__init__(num_fields, dim)
        self.out_dim = dim + 1


class LooksAtOtherRows(Mean):
    def forward(self, fields_BFD):
        output = super().forward(fields_BFD)
        return output - output.mean(0)


class ChangesItsInput(Mean):
    def forward(self, fields_BFD):
        return super().forward(fields_BFD.mul_(2))


class UnusedParameter(Mean):
    cannot = {"gradients_reach_every_parameter": "one is there to break it"}

    def __init__(self, num_fields: int, dim: int):
        super().__init__(num_fields, dim)
        self.unused = nn.Parameter(torch.rand(dim))


class BlindToItsInput(Mean):
    def forward(self, fields_BFD):
        return super().forward(fields_BFD.detach())


class MisspeltExcuse(Mean):
    cannot = {"gradients_reach_parameters": "the name is misspelt"}


class UnsavedWeight(Mean):
    def __init__(self, num_fields: int, dim: int):
        super().__init__(num_fields, dim)
        self.unsaved = torch.rand(dim)

    def forward(self, fields_BFD):
        return super().forward(fields_BFD) * self.unsaved


class OtherGenerator(Mean):
    def forward(self, fields_BFD):
        return super().forward(fields_BFD) * random.random()


class ImpreciseUnderAutocast(Mean):
    def forward(self, fields_BFD):
        output = super().forward(fields_BFD)
        return output * 1.1 if torch.is_autocast_enabled("cpu") else output


class ForgetsAnArgument(Mean):
    def __init__(self, num_fields: int, dim: int, scale: float = 1.0):
        super().__init__(num_fields, dim)
        self.factor = scale


class ChangesAnArgument(Mean):
    def __init__(self, num_fields: int, dim: int):
        super().__init__(num_fields, dim)
        self.num_fields = 3 * num_fields

    def forward(self, fields_BFD):
        return self.weight * fields_BFD.mean(1)


class SharesWithItsCopy(Mean):
    def __init__(self, num_fields: int, dim: int):
        super().__init__(num_fields, dim)
        self.function = lambda fields: self.weight * fields.mean(1)

    def forward(self, fields_BFD):
        return self.function(fields_BFD)


class ChecksNothing(Mean):
    def forward(self, fields_BFD):
        return self.weight[: fields_BFD.shape[-1]].sum() * fields_BFD.mean(1)


class TakesAnyNumber(Mean):
    def __init__(self, num_fields: int, dim: int):
        super().__init__(max(num_fields, 1), max(dim, 1))


class Sum(SequenceEncoder):
    """A running sum; keeps its promises."""

    causal = True

    def __init__(self, dim: int):
        super().__init__()
        self.dim, self.out_dim = dim, dim

    def forward(self, events_BTD, lengths_B, times_BT=None):
        return events_BTD.cumsum(1)


class WholeSum(Sum):
    causal = False

    def forward(self, events_BTD, lengths_B, times_BT=None):
        return events_BTD.sum(1, keepdim=True).expand_as(events_BTD)


class FutureSum(Sum):
    def forward(self, events_BTD, lengths_B, times_BT=None):
        # A layer norm's output sums to a constant: summed without weights, the leak would not show.
        return nn.functional.layer_norm(events_BTD.flip(1).cumsum(1).flip(1), (self.dim,))


class DividesByTheLength(Sum):
    def forward(self, events_BTD, lengths_B, times_BT=None):
        return super().forward(events_BTD, lengths_B) / lengths_B.view(-1, 1, 1)


class OneKindOfLengths(Sum):
    def forward(self, events_BTD, lengths_B, times_BT=None):
        newest = nn.functional.one_hot(lengths_B, events_BTD.shape[1] + 1)  # takes int64 alone
        return super().forward(events_BTD, lengths_B) + 0 * newest.sum()


class NoTimes(Sum):
    def forward(self, events_BTD, lengths_B):
        return super().forward(events_BTD, lengths_B)


class StreamingSum(StreamingEncoder, Sum):
    def initial_state(self, batch_size):
        return torch.zeros(batch_size, self.dim)

    def step(self, state, event_BD, time_B=None):
        return state + event_BD, state + event_BD


class ForgetsTheFirst(StreamingSum):
    def step(self, state, event_BD, time_B=None):
        return state + event_BD, event_BD


class OverwritesItsState(StreamingSum):
    def step(self, state, event_BD, time_B=None):
        state += event_BD
        return state, state.clone()


class ChecksNoEvent(StreamingSum):
    def step(self, state, event_BD, time_B=None):
        return super().step(state, event_BD[:, : self.dim])


class MeanTimesTarget(TargetAttention):
    """The candidate times the mean of the history; keeps every promise."""

    def __init__(self, dim: int):
        super().__init__()
        expect_at_least(1, dim=dim)
        self.dim, self.out_dim = dim, dim
        self.linear = nn.Linear(dim, dim)

    def forward(self, target_BD, events_BTD, lengths_B):
        expect_shape("target_BD", target_BD, ("batch", self.dim))
        expect_shape("events_BTD", events_BTD, (len(target_BD), "events", self.dim))
        expect_shape("lengths_B", lengths_B, (len(target_BD),))
        mask_BT1 = (torch.arange(events_BTD.shape[1]) < lengths_B.unsqueeze(1)).unsqueeze(2)
        total = self.linear(events_BTD).masked_fill(~mask_BT1, 0).sum(1)
        return target_BD * total / lengths_B.clamp(min=1).unsqueeze(1)


class BiasOfNothing(MeanTimesTarget):
    def forward(self, target_BD, events_BTD, lengths_B):
        return super().forward(target_BD, events_BTD, lengths_B) + self.linear.bias


class SeesPadding(MeanTimesTarget):
    def forward(self, target_BD, events_BTD, lengths_B):
        everything = torch.full_like(lengths_B, events_BTD.shape[1])
        return super().forward(target_BD, events_BTD, torch.where(lengths_B > 0, everything, 0))


class TargetOneKindOfLengths(MeanTimesTarget):
    def forward(self, target_BD, events_BTD, lengths_B):
        newest = nn.functional.one_hot(lengths_B, events_BTD.shape[1] + 1)  # takes int64 alone
        return super().forward(target_BD, events_BTD, lengths_B) + 0 * newest.sum()


class Product(Scorer):
    indexable = True

    def forward(self, queries_BD, candidates):
        own = candidates if candidates.dim() == 3 else candidates.unsqueeze(0)
        return (own * queries_BD.unsqueeze(1)).sum(-1)

    def index_vectors(self, vectors_ND):
        return vectors_ND


class SharedScoresDiffer(Product):
    def forward(self, queries_BD, candidates):
        return super().forward(queries_BD, candidates) * candidates.dim()


class OverAllCandidates(Product):
    def forward(self, queries_BD, candidates):
        return super().forward(queries_BD, candidates).softmax(1)


class WrongIndexVectors(Product):
    def index_vectors(self, vectors_ND):
        return vectors_ND * 2


class Two(MultiInterestEncoder):
    """The mean of the history in two bases; keeps every promise."""

    def __init__(self, dim: int, num_interests: int = 2):
        super().__init__()
        expect_at_least(1, dim=dim, num_interests=num_interests)
        self.dim, self.out_dim, self.num_interests = dim, dim, num_interests
        self.bases = nn.Linear(dim, num_interests * dim)

    def forward(self, events_BTD, lengths_B, times_BT=None):
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        total = events_BTD.masked_fill(~real_events(events_BTD, lengths_B).unsqueeze(2), 0).sum(1)
        return self.bases(total / lengths_B.clamp(min=1).unsqueeze(1)).unflatten(1, (-1, self.dim))


class SeesPaddingTwice(Two):
    def forward(self, events_BTD, lengths_B, times_BT=None):
        return super().forward(events_BTD, torch.full_like(lengths_B, events_BTD.shape[1]))


class TakesAnyTimes(Sum):
    def forward(self, events_BTD, lengths_B, times_BT=None):
        return super().forward(events_BTD, lengths_B) + (0 if times_BT is None else 1)
