"""The contract tests fail where a promise is broken, each of them."""

import pytest

from tests.contracts import broken
from torchrec_ext.testing import (
    Case,
    EncoderContract,
    InteractionContract,
    MultiInterestContract,
    ScorerContract,
    TargetAttentionContract,
)

SIZES = {InteractionContract: {"num_fields": 3, "dim": 8}, ScorerContract: {}}
BREAKS = [
    (InteractionContract, "output_has_the_promised_shape", broken.WrongOutDim),
    (InteractionContract, "other_rows_do_not_change_a_result", broken.LooksAtOtherRows),
    (InteractionContract, "inputs_stay_as_they_are", broken.ChangesItsInput),
    (InteractionContract, "gradients_reach_every_parameter", broken.UnusedParameter),
    (InteractionContract, "gradients_reach_every_parameter", broken.BlindToItsInput),
    (InteractionContract, "state_dict_makes_another_the_same", broken.UnsavedWeight),
    (InteractionContract, "same_seed_same_result", broken.OtherGenerator),
    (InteractionContract, "bfloat16_is_close", broken.ImpreciseUnderAutocast),
    (InteractionContract, "description_builds_it_again", broken.ForgetsAnArgument),
    (InteractionContract, "description_builds_it_again", broken.ChangesAnArgument),
    (InteractionContract, "copies_do_not_share", broken.SharesWithItsCopy),
    (InteractionContract, "wrong_shapes_are_named", broken.ChecksNothing),
    (InteractionContract, "negative_numbers_are_refused", broken.TakesAnyNumber),
    (EncoderContract, "padding_does_not_change_a_real_state", broken.WholeSum),
    (EncoderContract, "a_causal_state_does_not_see_the_future", broken.FutureSum),
    (EncoderContract, "histories_without_an_event_are_finite", broken.DividesByTheLength),
    (EncoderContract, "lengths_of_either_width", broken.OneKindOfLengths),
    (EncoderContract, "times_may_be_given", broken.NoTimes),
    (EncoderContract, "wrong_times_are_named", broken.TakesAnyTimes),
    (EncoderContract, "steps_equal_forward", broken.ForgetsTheFirst),
    (EncoderContract, "a_step_leaves_the_state_before_it_alone", broken.OverwritesItsState),
    (EncoderContract, "a_wrong_event_is_named", broken.ChecksNoEvent),
    (TargetAttentionContract, "an_empty_history_gives_zeros", broken.BiasOfNothing),
    (TargetAttentionContract, "padding_does_not_change_a_result", broken.SeesPadding),
    (TargetAttentionContract, "lengths_of_either_width", broken.TargetOneKindOfLengths),
    (MultiInterestContract, "padding_does_not_change_an_interest", broken.SeesPaddingTwice),
    (ScorerContract, "shared_candidates_score_as_own_ones_do", broken.SharedScoresDiffer),
    (ScorerContract, "other_candidates_do_not_change_a_score", broken.OverAllCandidates),
    (ScorerContract, "an_index_gives_the_same_scores", broken.WrongIndexVectors),
]


@pytest.mark.parametrize(("contract", "promise", "cls"), BREAKS)
def test_a_broken_promise_is_found(contract, promise, cls):
    case = Case(cls, **SIZES.get(contract, {"dim": 8}))
    with pytest.raises((AssertionError, pytest.fail.Exception, RuntimeError, TypeError)):
        getattr(contract(), f"test_{promise}")(case)


def test_every_promise_has_a_breaker():
    contracts = {contract for contract, _, _ in BREAKS}
    promises = {n.removeprefix("test_") for c in contracts for n in dir(c) if n.startswith("test_")}
    assert promises == {promise for _, promise, _ in BREAKS} | {"what_it_cannot_are_promises"}


class TestKeepsAll(InteractionContract):
    cases = [Case(broken.Mean, num_fields=3, dim=8)]


class TestKeepsAllTargetAttention(TargetAttentionContract):
    cases = [Case(broken.MeanTimesTarget, dim=8)]


class TestKeepsAllInterests(MultiInterestContract):
    cases = [Case(broken.Two, dim=8)]


class TestExcused(InteractionContract):
    cases = [Case(broken.UnusedParameter, num_fields=3, dim=8)]


def test_a_misspelt_excuse_is_found():
    case = Case(broken.MisspeltExcuse, num_fields=3, dim=8)
    with pytest.raises(AssertionError, match="gradients_reach_parameters"):
        InteractionContract().test_what_it_cannot_are_promises(case)
