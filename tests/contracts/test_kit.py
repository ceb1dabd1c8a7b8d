"""The contract tests fail where a promise is broken, each of them."""

import re

import pytest

from tests.contracts import broken
from torchrec_ext.testing import (
    BrokenPromise,
    Case,
    EncoderContract,
    InteractionContract,
    MultiInterestContract,
    RankingLossContract,
    RetrievalLossContract,
    ScorerContract,
    TargetAttentionContract,
)
from torchrec_ext.testing.contract import cases_tried
from torchrec_ext.testing.promise import is_slow, promises

SIZES = {
    InteractionContract: {"num_fields": 3, "dim": 8},
    ScorerContract: {},
    RetrievalLossContract: {},
    RankingLossContract: {},
}
BREAKS = [
    (InteractionContract, "every_exception_names_a_promise", broken.MisspeltExcuse),
    (InteractionContract, "output_has_the_promised_shape", broken.WrongOutDim),
    (InteractionContract, "other_rows_do_not_change_a_result", broken.LooksAtOtherRows),
    (InteractionContract, "an_empty_batch_gives_an_empty_output", broken.RefusesZeroRows),
    (InteractionContract, "an_empty_batch_gives_an_empty_output", broken.ForgetsZeroRows),
    (InteractionContract, "an_empty_batch_gives_an_empty_output", broken.AveragesZeroRows),
    (InteractionContract, "inputs_are_not_changed", broken.ChangesItsInput),
    (InteractionContract, "gradients_reach_every_parameter", broken.UnusedParameter),
    (InteractionContract, "gradients_reach_every_parameter", broken.BlindToItsInput),
    (InteractionContract, "state_dict_restores_the_module", broken.UnsavedWeight),
    (InteractionContract, "same_seed_same_result", broken.OtherGenerator),
    (InteractionContract, "bfloat16_is_close", broken.ImpreciseUnderAutocast),
    (InteractionContract, "dynamic_quantization_is_close", broken.ReadsWeights),
    (InteractionContract, "description_builds_it_again", broken.ForgetsAnArgument),
    (InteractionContract, "description_builds_it_again", broken.ChangesAnArgument),
    (InteractionContract, "copies_do_not_share", broken.SharesWithItsCopy),
    (InteractionContract, "wrong_shapes_are_named", broken.ChecksNothing),
    (InteractionContract, "negative_numbers_are_refused", broken.TakesAnyNumber),
    (InteractionContract, "fx_trace_gives_the_same", broken.TracesOneSize),
    (InteractionContract, "compile_gives_the_same", broken.KnowsACompiler),
    (InteractionContract, "compile_to_machine_code_gives_the_same", broken.KnowsACompiler),
    (InteractionContract, "export_gives_the_same", broken.KnowsACompiler),
    (InteractionContract, "out_fields_divide_the_output", broken.UnequalVectors),
    (EncoderContract, "padding_does_not_change_a_real_state", broken.WholeSum),
    (EncoderContract, "a_causal_state_does_not_see_the_future", broken.FutureSum),
    (EncoderContract, "histories_without_an_event_are_finite", broken.DividesByTheLength),
    (EncoderContract, "histories_without_an_event_are_finite", broken.StacksEvents),
    (EncoderContract, "export_leaves_the_number_of_events_open", broken.StacksEvents),
    (EncoderContract, "int32_lengths_give_the_same", broken.OneKindOfLengths),
    (EncoderContract, "times_may_be_given", broken.NoTimes),
    (EncoderContract, "times_may_be_given", broken.ReadsTimesUnsaid),
    (EncoderContract, "times_may_be_given", broken.SaysItReadsTimes),
    (EncoderContract, "wrong_times_are_named", broken.TakesAnyTimes),
    (EncoderContract, "steps_equal_forward", broken.ForgetsTheFirst),
    (EncoderContract, "steps_equal_forward_beyond_max_length", broken.ForgetsBeyondMaxLength),
    (EncoderContract, "a_history_may_exceed_max_length", broken.RefusesMore),
    (EncoderContract, "a_step_of_0_rows_gives_0_rows", broken.StepsOneRowAtLeast),
    (EncoderContract, "quantized_steps_are_close", broken.StartsFromAWeight),
    (EncoderContract, "a_step_does_not_change_its_state", broken.OverwritesItsState),
    (EncoderContract, "a_wrong_event_is_named", broken.ChecksNoEvent),
    (EncoderContract, "a_hidden_event_changes_nothing", broken.LooksUnderTheMask),
    (EncoderContract, "without_a_mask_nothing_is_hidden", broken.HidesTheNewest),
    (EncoderContract, "hidden_padding_changes_nothing", broken.CountsHidden),
    (EncoderContract, "a_wrong_mask_is_named", broken.ChecksNoMask),
    (EncoderContract, "masked_share_is_between_0_and_1", broken.TakesAnyShare),
    (TargetAttentionContract, "an_empty_history_gives_zeros", broken.BiasOfNothing),
    (TargetAttentionContract, "padding_does_not_change_a_result", broken.SeesPadding),
    (TargetAttentionContract, "int32_lengths_give_the_same", broken.TargetOneKindOfLengths),
    (TargetAttentionContract, "a_history_may_exceed_max_length", broken.TargetRefusesMore),
    (TargetAttentionContract, "event_weights_are_0_at_padding", broken.WeighsPadding),
    (TargetAttentionContract, "forward_and_loss_gives_what_forward_gives", broken.OtherWithItsLoss),
    (TargetAttentionContract, "empty_histories_have_no_loss", broken.LossOfNothing),
    (TargetAttentionContract, "padding_does_not_change_the_loss", broken.LossSeesPadding),
    (MultiInterestContract, "padding_does_not_change_an_interest", broken.SeesPaddingTwice),
    (ScorerContract, "shared_candidates_score_as_own_ones_do", broken.SharedScoresDiffer),
    (ScorerContract, "no_candidate_gives_no_score", broken.RefusesZeroCandidates),
    (ScorerContract, "export_leaves_the_number_of_candidates_open", broken.UnrollsCandidates),
    (ScorerContract, "other_candidates_do_not_change_a_score", broken.OverAllCandidates),
    (ScorerContract, "an_index_gives_the_same_scores", broken.WrongIndexVectors),
    (RetrievalLossContract, "a_row_without_a_target_has_no_loss", broken.SquaredDistance),
    (RetrievalLossContract, "a_higher_score_of_the_target_costs_no_more", broken.RewardsOthers),
    (RetrievalLossContract, "losses_are_float32", broken.HalfPrecision),
    (RankingLossContract, "a_logit_nearer_to_its_label_costs_no_more", broken.RewardsMistakes),
    (RankingLossContract, "losses_are_float32", broken.HalfPrecisionPairs),
]


def _marked(contract, promise, cls):
    marks = [pytest.mark.slow] if is_slow(getattr(contract, f"test_{promise}")) else []
    return pytest.param(contract, promise, cls, id=f"{promise}-{cls.__name__}", marks=marks)


def failure_of(contract, promise, cls) -> str:
    """What the promise's test says of a module that breaks it."""
    skipped = None
    with pytest.raises(BrokenPromise) as failure:
        try:
            getattr(contract(), f"test_{promise}")(case_of(contract, cls))
        except pytest.skip.Exception as reason:
            skipped = reason
            raise BrokenPromise from reason
    assert skipped is None, f"{cls.__name__} should break the promise, but its test is skipped: {skipped}"
    return str(failure.value)


def case_of(contract, cls) -> Case:
    return Case(cls, **SIZES.get(contract, {"dim": 8}))


@pytest.mark.parametrize(("contract", "promise", "cls"), [_marked(*each) for each in BREAKS])
def test_a_broken_promise_is_found(contract, promise, cls):
    said = failure_of(contract, promise, cls)
    case = case_of(contract, cls)
    assert said.startswith(f"{case} breaks the promise {promise!r}. {promises(contract)[promise]}")
    assert re.search(r"should .*(received|accepted|lacks|the same)|it raised \w+", said), said


def test_every_promise_has_a_breaker():
    contracts = {contract for contract, _, _ in BREAKS}
    tests = {n.removeprefix("test_") for c in contracts for n in dir(c) if n.startswith("test_")}
    assert tests == {name for c in contracts for name in promises(c)}
    assert tests == {promise for _, promise, _ in BREAKS}


class TestKeepsAll(InteractionContract):
    cases = [Case(broken.Mean, num_fields=3, dim=8)]


class TestKeepsAllTargetAttention(TargetAttentionContract):
    cases = [Case(broken.MeanTimesTarget, dim=8), Case(broken.Supervised, dim=8)]


class TestKeepsAllMasked(EncoderContract):
    cases = [Case(broken.Fill, dim=8)]


class TestKeepsAllInterests(MultiInterestContract):
    cases = [Case(broken.Two, dim=8)]


def test_costly_promises_are_tried_on_fewer_cases():
    cases = [Case(broken.Mean, num_fields=n, dim=8) for n in (1, 2)] + [Case(broken.WrongOutDim)]
    tried = {
        name: cases_tried(getattr(InteractionContract, f"test_{name}"), cases)
        for name in (
            "fx_trace_gives_the_same",
            "compile_gives_the_same",
            "compile_to_machine_code_gives_the_same",
        )
    }
    assert [*tried.values()] == [cases, [cases[0], cases[2]], cases[:1]]


class TestExcused(InteractionContract):
    cases = [Case(broken.UnusedParameter, num_fields=3, dim=8)]
