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
from torchrec_ext.testing.contract import _tried, is_slow

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
    (InteractionContract, "fx_trace_gives_the_same", broken.TracesOneSize),
    (InteractionContract, "compile_gives_the_same", broken.KnowsACompiler),
    (InteractionContract, "compile_to_machine_code_gives_the_same", broken.KnowsACompiler),
    (InteractionContract, "export_gives_the_same", broken.KnowsACompiler),
    (EncoderContract, "padding_does_not_change_a_real_state", broken.WholeSum),
    (EncoderContract, "a_causal_state_does_not_see_the_future", broken.FutureSum),
    (EncoderContract, "histories_without_an_event_are_finite", broken.DividesByTheLength),
    (EncoderContract, "lengths_of_either_width", broken.OneKindOfLengths),
    (EncoderContract, "times_may_be_given", broken.NoTimes),
    (EncoderContract, "times_may_be_given", broken.ReadsTimesUnsaid),
    (EncoderContract, "times_may_be_given", broken.SaysItReadsTimes),
    (EncoderContract, "wrong_times_are_named", broken.TakesAnyTimes),
    (EncoderContract, "steps_equal_forward", broken.ForgetsTheFirst),
    (EncoderContract, "steps_equal_forward_beyond_max_length", broken.ForgetsBeyondMaxLength),
    (EncoderContract, "a_history_may_exceed_max_length", broken.RefusesMore),
    (EncoderContract, "a_step_leaves_the_state_before_it_alone", broken.OverwritesItsState),
    (EncoderContract, "a_wrong_event_is_named", broken.ChecksNoEvent),
    (EncoderContract, "a_hidden_event_changes_nothing", broken.LooksUnderTheMask),
    (EncoderContract, "without_a_mask_nothing_is_hidden", broken.HidesTheNewest),
    (EncoderContract, "hidden_padding_changes_nothing", broken.CountsHidden),
    (EncoderContract, "a_wrong_mask_is_named", broken.ChecksNoMask),
    (EncoderContract, "masked_share_is_a_share", broken.TakesAnyShare),
    (TargetAttentionContract, "an_empty_history_gives_zeros", broken.BiasOfNothing),
    (TargetAttentionContract, "padding_does_not_change_a_result", broken.SeesPadding),
    (TargetAttentionContract, "lengths_of_either_width", broken.TargetOneKindOfLengths),
    (TargetAttentionContract, "a_history_may_exceed_max_length", broken.TargetRefusesMore),
    (TargetAttentionContract, "forward_and_loss_gives_what_forward_gives", broken.OtherWithItsLoss),
    (TargetAttentionContract, "no_event_has_no_loss", broken.LossOfNothing),
    (TargetAttentionContract, "padding_does_not_change_the_loss", broken.LossSeesPadding),
    (MultiInterestContract, "padding_does_not_change_an_interest", broken.SeesPaddingTwice),
    (ScorerContract, "shared_candidates_score_as_own_ones_do", broken.SharedScoresDiffer),
    (ScorerContract, "other_candidates_do_not_change_a_score", broken.OverAllCandidates),
    (ScorerContract, "an_index_gives_the_same_scores", broken.WrongIndexVectors),
]


def _marked(contract, promise, cls):
    marks = [pytest.mark.slow] if is_slow(getattr(contract, f"test_{promise}")) else []
    return pytest.param(contract, promise, cls, id=f"{promise}-{cls.__name__}", marks=marks)


@pytest.mark.parametrize(("contract", "promise", "cls"), [_marked(*each) for each in BREAKS])
def test_a_broken_promise_is_found(contract, promise, cls):
    case = Case(cls, **SIZES.get(contract, {"dim": 8}))
    skipped = None
    with pytest.raises(
        (AssertionError, pytest.fail.Exception, RuntimeError, TypeError, LookupError, ValueError)
    ):
        try:
            getattr(contract(), f"test_{promise}")(case)
        except pytest.skip.Exception as reason:
            skipped = reason
            raise AssertionError from reason
    assert skipped is None, f"{cls.__name__} should break the promise, but its test is skipped: {skipped}"


def test_every_promise_has_a_breaker():
    contracts = {contract for contract, _, _ in BREAKS}
    promises = {n.removeprefix("test_") for c in contracts for n in dir(c) if n.startswith("test_")}
    assert promises == {promise for _, promise, _ in BREAKS} | {"what_it_cannot_are_promises"}


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
        name: _tried(getattr(InteractionContract, f"test_{name}"), cases)
        for name in (
            "fx_trace_gives_the_same",
            "compile_gives_the_same",
            "compile_to_machine_code_gives_the_same",
        )
    }
    assert [*tried.values()] == [cases, [cases[0], cases[2]], cases[:1]]


class TestExcused(InteractionContract):
    cases = [Case(broken.UnusedParameter, num_fields=3, dim=8)]


def test_a_misspelt_excuse_is_found():
    case = Case(broken.MisspeltExcuse, num_fields=3, dim=8)
    with pytest.raises(AssertionError, match="gradients_reach_parameters"):
        InteractionContract().test_what_it_cannot_are_promises(case)
