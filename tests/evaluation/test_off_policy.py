"""Estimates of another model's click rate, on planted tastes of which its click rate is known."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import epsilon_greedy, off_policy

ITEMS, CONTEXTS, PLACES, EPSILON = 8, 5, 3, 0.4
TASTES = np.random.default_rng(0).uniform(0.02, 0.6, (CONTEXTS, ITEMS))
SEEN = np.array([1.0, 0.7, 0.4])
"""How likely a user looks at each place."""
WORST, BEST = np.argsort(TASTES, axis=1)[:, :PLACES], np.argsort(-TASTES, axis=1)[:, :PLACES]
"""What two models list in each context: the logging one lists the worst items."""
TRUTH = float((np.take_along_axis(TASTES, BEST, 1) * SEEN).mean())


def exposures(requests: int, seed: int) -> pd.DataFrame:
    """Lists of the logging model, which explores each place by itself, and their clicks."""
    rng = np.random.default_rng(seed)
    context = np.repeat(rng.integers(CONTEXTS, size=requests), PLACES)
    place, request = np.tile(np.arange(PLACES), requests), np.repeat(np.arange(requests), PLACES)
    explores = rng.random(len(place)) < EPSILON
    item = np.where(explores, rng.integers(ITEMS, size=len(place)), WORST[context, place])
    clicked = rng.random(len(place)) < TASTES[context, item] * SEEN[place]
    shown_with = epsilon_greedy(item, WORST[context, place], EPSILON, ITEMS)
    other_with = epsilon_greedy(item, BEST[context, place], 0.0, ITEMS)
    columns = {"clicked": clicked, "shown_with": shown_with, "other_with": other_with}
    return pd.DataFrame({**columns, "request": request})


def estimate(log: pd.DataFrame, **more):
    return off_policy(log["clicked"], log["shown_with"], log["other_with"], **more)


def test_the_planted_click_rate_is_found():
    found = estimate(exposures(40_000, seed=1))
    for value, error in ((found.ips, found.ips_error), (found.snips, found.snips_error)):
        assert error < 0.01 and value == pytest.approx(TRUTH, abs=3 * error)
    assert found.logged < TRUTH - 20 * found.snips_error  # what was shown says nothing of it
    assert found.mean_weight == pytest.approx(1, abs=0.05)
    assert found.snips_error < found.ips_error
    assert "snips 0." in str(found)


def test_standard_errors_are_the_spread_of_the_estimates():
    found = [estimate(log, requests=log["request"]) for log in (exposures(1500, seed=s) for s in range(200))]
    for name in ("ips", "snips"):
        values = np.array([getattr(f, name) for f in found])
        errors = np.array([getattr(f, f"{name}_error") for f in found])
        assert values.std() == pytest.approx(errors.mean(), rel=0.15)
        assert values.mean() == pytest.approx(TRUTH, abs=4 * errors.mean() / np.sqrt(len(found)))
        inside = np.abs(values - TRUTH) < 1.96 * errors
        assert 0.9 <= inside.mean() <= 0.99


def test_exposures_of_one_list_are_not_independent():
    log = exposures(500, seed=3)
    again = pd.concat([log] * 4)  # the same, four times: nothing more is known
    once, four = estimate(log, requests=log["request"]), estimate(again, requests=again["request"])
    assert (four.ips_error, four.snips_error) == pytest.approx((once.ips_error, once.snips_error))
    assert estimate(again).snips_error == pytest.approx(estimate(log).snips_error / 2, rel=0.01)


def test_the_self_normalised_one_moves_with_the_rewards():
    log = exposures(300, seed=4)
    found, more = estimate(log), estimate(log.assign(clicked=log["clicked"] + 1.0))
    assert more.snips == pytest.approx(found.snips + 1) and more.snips_error == pytest.approx(
        found.snips_error
    )
    assert abs(more.ips - found.ips - 1) > 0.01  # which is why it is there


def test_by_hand_and_cut_off():
    found = off_policy([1, 0, 1], [0.5, 0.25, 1.0], [0.5, 1.0, 0.0])  # weights 1, 4, 0
    assert (found.ips, found.snips) == pytest.approx((1 / 3, 1 / 5))
    assert found.snips_error == pytest.approx(np.sqrt((0.8**2 + 0.8**2) * 1.5) / 5)
    assert found.ips_error == pytest.approx(np.std([1, 0, 0], ddof=1) / np.sqrt(3))
    assert (found.mean_weight, found.effective) == pytest.approx((5 / 3, 25 / 17))
    assert off_policy([1, 0, 1], [0.5, 0.25, 1.0], [0.5, 1.0, 0.0], largest_weight=2).snips == pytest.approx(
        1 / 3
    )
    assert np.isnan(off_policy([1], [1], [1]).ips_error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], [0.0], [1]), "shown_with should be a probability above 0, 1 at most, received 0"),
        (([1], [0.5], [1.5]), "other_with should be a probability of 0 at least, 1 at most, received 1.5"),
        (([1, 0], [0.5], [1]), "shown_with should hold a number for each of the 2 exposures"),
        (([], [], []), "clicked should hold a number for each of the 0 exposures"),
        (([np.nan], [0.5], [1]), "clicked should hold finite numbers, received nan"),
        (([1, 0], [0.5, 0.5], [0, 0]), "other_with is 0 everywhere"),
    ],
)
def test_what_is_not_a_probability_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        off_policy(*arguments)
    with pytest.raises(InputError, match="requests should name the list of each of the 2 exposures, has 1"):
        off_policy([1, 0], [0.5, 0.5], [1, 1], requests=[1])
    with pytest.raises(InputError, match="largest_weight should be more than 0"):
        off_policy([1, 0], [0.5, 0.5], [1, 1], largest_weight=0)
    with pytest.raises(InputError, match="epsilon should be a probability"):
        epsilon_greedy(["a"], ["a"], 2.0, 3)
