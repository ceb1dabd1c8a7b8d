"""Modules that break one promise each, and a target attention that keeps them all."""

import random

import torch
from torch import nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import (
    Interaction,
    MaskedEncoder,
    MultiInterestEncoder,
    RankingLoss,
    RetrievalLoss,
    Scorer,
    SequenceEncoder,
    StreamingEncoder,
    SupervisedTargetAttention,
    TargetAttention,
)
from torchrec_ext.errors import InputError
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


class UnequalVectors(Mean):
    out_fields = 3


class LooksAtOtherRows(Mean):
    def forward(self, fields_BFD):
        output = super().forward(fields_BFD)
        return output - output.mean(0)


class RefusesZeroRows(Mean):
    def forward(self, fields_BFD):
        flat = fields_BFD.reshape(len(fields_BFD), -1).view(fields_BFD.shape)  # -1 of no element is ambiguous
        return super().forward(flat)


class ForgetsZeroRows(Mean):
    def forward(self, fields_BFD):
        return super().forward(fields_BFD) if len(fields_BFD) else torch.zeros(1, self.dim)


class AveragesZeroRows(Mean):
    def forward(self, fields_BFD):
        return super().forward(fields_BFD) + self.weight.mean() * fields_BFD.mean().detach() * 0


class ReadsWeights(Mean):
    def __init__(self, num_fields: int, dim: int):
        super().__init__(num_fields, dim)
        self.linear = nn.Linear(dim, dim)

    def forward(self, fields_BFD):
        return super().forward(fields_BFD) @ self.linear.weight.T + self.linear.bias


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


class TracesOneSize(Mean):
    def forward(self, fields_BFD):
        if fields_BFD.shape[0] > 3:  # no symbolic trace goes both ways
            return super().forward(fields_BFD)
        return super().forward(fields_BFD)


class KnowsACompiler(Mean):
    def forward(self, fields_BFD):
        return super().forward(fields_BFD) * (2 if torch.compiler.is_compiling() else 1)


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


class StacksEvents(Sum):
    def forward(self, events_BTD, lengths_B, times_BT=None):
        return super().forward(torch.stack(events_BTD.unbind(1), 1), lengths_B)


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


class StepsOneRowAtLeast(StreamingSum):
    def initial_state(self, batch_size):
        return torch.zeros(max(batch_size, 1), self.dim)

    def step(self, state, event_BD, time_B=None):
        total = state + torch.cat([event_BD, torch.zeros_like(state[len(event_BD) :])])
        return total, total


class StartsFromAWeight(StreamingSum):
    def __init__(self, dim: int):
        super().__init__(dim)
        self.linear = nn.Linear(dim, dim)

    def initial_state(self, batch_size):
        return self.linear.weight.new_zeros(batch_size, self.dim)


class OverwritesItsState(StreamingSum):
    def step(self, state, event_BD, time_B=None):
        state += event_BD
        return state, state.clone()


class ForgetsBeyondMaxLength(StreamingSum):
    def __init__(self, dim: int, max_length: int = 50):
        super().__init__(dim)
        self.max_length = max_length

    def initial_state(self, batch_size):
        return torch.zeros(batch_size, self.dim), 0

    def step(self, state, event_BD, time_B=None):
        total, count = state
        total = total + event_BD if count < self.max_length else event_BD
        return (total, count + 1), total


class RefusesMore(Sum):
    def __init__(self, dim: int, max_length: int = 50):
        super().__init__(dim)
        self.max_length = max_length
        self.positions = nn.Embedding(max_length, dim)

    def forward(self, events_BTD, lengths_B, times_BT=None):
        return super().forward(events_BTD, lengths_B) + self.positions(torch.arange(events_BTD.shape[1]))


class ChecksNoEvent(StreamingSum):
    def step(self, state, event_BD, time_B=None):
        return super().step(state, event_BD[:, : self.dim])


class Fill(MaskedEncoder):
    """Each event, or a learnt vector where it is hidden, and the mean of all; keeps every promise."""

    causal = False

    def __init__(self, dim: int, masked_share: float = 0.2):
        super().__init__()
        expect_at_least(1, dim=dim)
        if not 0 < masked_share < 1:
            raise InputError(f"masked_share should be above 0 and below 1, received {masked_share}")
        self.dim, self.out_dim, self.masked_share = dim, dim, masked_share
        self.mask = nn.Parameter(torch.rand(dim))

    def forward(self, events_BTD, lengths_B, times_BT=None, masked_BT=None):
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        if masked_BT is not None:
            expect_shape("masked_BT", masked_BT, (events_BTD.shape[0], events_BTD.shape[1]))
            events_BTD = torch.where(masked_BT.unsqueeze(2), self.mask, events_BTD)
        real_BT1 = real_events(events_BTD, lengths_B).unsqueeze(2)
        total = events_BTD.masked_fill(~real_BT1, 0).sum(1, keepdim=True)
        return events_BTD + total / lengths_B.clamp(min=1).view(-1, 1, 1)


class LooksUnderTheMask(Fill):
    def forward(self, events_BTD, lengths_B, times_BT=None, masked_BT=None):
        return super().forward(events_BTD, lengths_B, times_BT, masked_BT) + 1e-6 * events_BTD


class HidesTheNewest(Fill):
    def forward(self, events_BTD, lengths_B, times_BT=None, masked_BT=None):
        if masked_BT is None:
            masked_BT = real_events(events_BTD, lengths_B) & ~real_events(events_BTD, lengths_B - 1)
        return super().forward(events_BTD, lengths_B, times_BT, masked_BT)


class CountsHidden(Fill):
    def forward(self, events_BTD, lengths_B, times_BT=None, masked_BT=None):
        states = super().forward(events_BTD, lengths_B, times_BT, masked_BT)
        return states if masked_BT is None else states * masked_BT.sum(1).view(-1, 1, 1)


class ChecksNoMask(Fill):
    def forward(self, events_BTD, lengths_B, times_BT=None, masked_BT=None):
        return super().forward(events_BTD, lengths_B, times_BT)


class TakesAnyShare(Fill):
    def __init__(self, dim: int, masked_share: float = 0.2):
        super().__init__(dim, min(max(masked_share, 0.1), 0.9))


class MeanTimesTarget(TargetAttention):
    """The candidate times the mean of the history; keeps every promise."""

    def __init__(self, dim: int):
        super().__init__()
        expect_at_least(1, dim=dim)
        self.dim, self.out_dim = dim, dim
        self.linear = nn.Linear(dim, dim)

    def forward(self, target_BD, events_BTD, lengths_B):
        expect_shape("target_BD", target_BD, ("batch", self.dim))
        expect_shape("events_BTD", events_BTD, (target_BD.shape[0], "events", self.dim))
        expect_shape("lengths_B", lengths_B, (target_BD.shape[0],))
        mask_BT1 = real_events(events_BTD, lengths_B).unsqueeze(2)
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


class TargetRefusesMore(MeanTimesTarget):
    def __init__(self, dim: int, max_length: int = 50):
        super().__init__(dim)
        self.positions = nn.Embedding(max_length, dim)

    def forward(self, target_BD, events_BTD, lengths_B):
        places = self.positions(torch.arange(events_BTD.shape[1]))
        return super().forward(target_BD, events_BTD + places, lengths_B)


class WeighsPadding(MeanTimesTarget):
    def event_weights(self, target_BD, events_BTD, lengths_B):
        return events_BTD.sum(2)


class Supervised(MeanTimesTarget, SupervisedTargetAttention):
    """With the squared length of the events for a loss; keeps every promise."""

    def forward_and_loss(self, target_BD, events_BTD, lengths_B):
        real_BT1 = real_events(events_BTD, lengths_B).unsqueeze(2)
        loss = self.linear(events_BTD).masked_fill(~real_BT1, 0).square().sum()
        return self(target_BD, events_BTD, lengths_B), loss


class OtherWithItsLoss(Supervised):
    def forward_and_loss(self, target_BD, events_BTD, lengths_B):
        output, loss = super().forward_and_loss(target_BD, events_BTD, lengths_B)
        return output + 1, loss


class LossOfNothing(Supervised):
    def forward_and_loss(self, target_BD, events_BTD, lengths_B):
        output, loss = super().forward_and_loss(target_BD, events_BTD, lengths_B)
        return output, loss / lengths_B.sum()


class LossSeesPadding(Supervised):
    def forward_and_loss(self, target_BD, events_BTD, lengths_B):
        _, loss = super().forward_and_loss(target_BD, events_BTD, torch.full_like(lengths_B, 99))
        return self(target_BD, events_BTD, lengths_B), loss


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


class RefusesZeroCandidates(Product):
    def forward(self, queries_BD, candidates):
        scores = super().forward(queries_BD, candidates)
        return scores - scores.detach().amax(1, keepdim=True) * 0


class UnrollsCandidates(Product):
    def forward(self, queries_BD, candidates):
        return torch.cat(
            [super(UnrollsCandidates, self).forward(queries_BD, c) for c in candidates.split(1, -2)], 1
        )


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
    reads_times = True

    def forward(self, events_BTD, lengths_B, times_BT=None):
        return super().forward(events_BTD, lengths_B) + (0 if times_BT is None else 1)


class ReadsTimesUnsaid(TakesAnyTimes):
    reads_times = False


class SaysItReadsTimes(Sum):
    reads_times = True


class SquaredDistance(RetrievalLoss):
    """Each score should be 1 for the target and 0 for the others; a row without a target costs too."""

    def forward(self, logits_NC, labels_N, log_q_C=None):
        wanted_NC = torch.zeros_like(logits_NC).scatter(1, labels_N.clamp(min=0)[:, None], 1.0)
        return (logits_NC.float() - wanted_NC.float()).square().mean(1)


class RewardsOthers(RetrievalLoss):
    def forward(self, logits_NC, labels_N, log_q_C=None):
        return logits_NC.float().log_softmax(1).gather(1, labels_N.clamp(min=0)[:, None])[:, 0]


class HalfPrecision(RetrievalLoss):
    def forward(self, logits_NC, labels_N, log_q_C=None):
        return -logits_NC.log_softmax(1).gather(1, labels_N.clamp(min=0)[:, None])[:, 0]


class RewardsMistakes(RankingLoss):
    def forward(self, logits, labels):
        return (logits * labels).float()


class HalfPrecisionPairs(RankingLoss):
    def forward(self, logits, labels):
        return -logits * (2 * labels - 1)
