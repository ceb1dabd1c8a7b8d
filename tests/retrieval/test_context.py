"""The context of requests in recommend()."""

import pandas as pd
import pytest

from tests.retrieval.naive import expect_lists, naive_lists
from tests.retrieval.trained import EVENTS, trained
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import recommend

USERS = [5, 2, 40]
OF_EACH = pd.DataFrame({"device": ["desk", "phone", None], "hour": [23.0, 1.5, 8.0]})
MODELS = ["context", "context ranker"]


@pytest.mark.parametrize("name", MODELS)
def test_a_row_for_each_user_in_any_order(name):
    model = trained(name)
    context = OF_EACH.assign(user=["5", "2", "40"], more=0).iloc[[2, 0, 1]]
    expected = naive_lists(model, EVENTS, USERS, 30, context=OF_EACH)
    expect_lists(recommend(model, EVENTS, USERS, 30, context=context), expected)
    expect_lists(recommend(model, EVENTS, USERS, 30, context=context, chunk=1), expected)
    more = pd.concat([context, context.assign(user=["77", "78", "x"])])
    expect_lists(recommend(model, EVENTS, USERS, 30, context=more), expected)


@pytest.mark.parametrize("name", MODELS)
def test_one_context_for_everybody(name):
    model = trained(name)
    for_all = pd.DataFrame({"device": ["desk"] * 3, "hour": 8.0})
    expected = naive_lists(model, EVENTS, USERS, 30, context=for_all)
    forms = ({"device": "desk", "hour": 8.0}, {"device": "desk", "hour": 8}, for_all.iloc[[1]])
    for context in forms:
        expect_lists(recommend(model, EVENTS, USERS, 30, context=context), expected)
    if name == "context":
        index = model.build_index()
        expect_lists(recommend(model, EVENTS, USERS, 30, context=forms[0], index=index), expected)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_context_its_features_are_unknown(name):
    model = trained(name)
    without = recommend(model, EVENTS, USERS, 30)
    context = recommend(model, EVENTS, USERS, 30, context={"device": "desk", "hour": 23.0})
    assert not without["score"].equals(context["score"])
    unknown = recommend(model, EVENTS, USERS, 30, context={"device": None, "hour": float("nan")})
    pd.testing.assert_frame_equal(without, unknown, atol=1e-5)


def test_sessions_have_a_context_too():
    model = trained("context")
    items = [EVENTS.frame.loc[EVENTS.frame["user"] == user, "item"].tolist() for user in USERS]
    expected = naive_lists(model, EVENTS, USERS, 30, context=OF_EACH)
    context = OF_EACH.assign(session=range(3))
    lists = recommend(model, sessions=items, k=30, context=context)
    assert lists["session"].tolist() == [USERS.index(user) for user in expected["user"]]
    expect_lists(lists.drop(columns="session").assign(user=expected["user"])[[*expected, "source"]], expected)


@pytest.mark.parametrize(
    ("name", "context", "message"),
    [
        ("history", {"device": "desk"}, "context is given, but this model reads none; leave it out"),
        ("ranker", {"device": "desk"}, "context is given, but this model reads none; leave it out"),
        ("context", {"device": "desk"}, "context lacks the column 'hour', which the model reads; it has"),
        ("context", {}, "context lacks the column 'device', which the model reads; it has none"),
        ("context", OF_EACH, "context has 3 rows and no column 'user'; give one row for everybody, or"),
        ("context", OF_EACH.assign(user=[5, 2, 3]), "context should have one row of user 40; it has 0"),
        ("context", OF_EACH.assign(user=[5, 40, 40]), "context should have one row of user 2; it has 0"),
    ],
)  # fmt: skip
def test_a_context_that_does_not_fit_is_explained(name, context, message):
    with pytest.raises(InputError, match=message):
        recommend(trained(name), EVENTS, USERS, 2, context=context)
