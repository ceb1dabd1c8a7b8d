"""because(): which titles the sentence names, and what it says without any."""

import numpy as np
import pandas as pd
import pytest

from tests.explanation.by_hand import built, mean_of_songs, rows, songs
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.explanation import because
from torchrec_ext.explanation.attribution import Attribution
from torchrec_ext.explanation.because import popularity, sentence
from torchrec_ext.models import TwoTower


@pytest.fixture(scope="module")
def data():
    return songs()


def test_the_events_that_raised_the_score_by_their_titles(data):
    events, train = data
    trained = mean_of_songs(train)
    assert because(trained, events, 1, "d", verb="played") == "Because you played Song c."
    assert because(trained, events, 1, "d") == "Because of Song c in your history."
    of_all = because(trained, events, 1, "d", verb="played", method="integrated_gradients", most=3)
    assert of_all == "Because you played Song c, Song b and Song a."


def test_a_user_without_history(data):
    events, train = data
    found = because(mean_of_songs(train), events, "new", np.array(["b"])[0])
    assert found == "Nothing that is known of you raised the score of Song b."


def test_the_user_s_own_vector(data):
    events, train = data
    weights = {
        "embeddings.tables.item.weight": rows(train, "item", {"a": [1.0]}),
        "embeddings.tables.user.weight": rows(train, "user", {1: [2.0], 2: [-1.0]}),
    }
    trained = built(TwoTower(train.schema, 1), train, weights)
    assert because(trained, events, 1, "a") == "Because of what the model knows of you: your taste."
    assert because(trained, events, 2, "a") == "Nothing that is known of you raised the score of Song a."


def words(data, events, titles, features=None, popular=None, score=1.0, most=2):
    found = Attribution(score, np.array(events, float), features or {})
    return sentence(found, titles, "X", data[1].preparation, popular, most=most)


def test_the_rule(data):
    assert words(data, [0.5, 0.04, 0.4], "abc") == "Because of a and c in your history."
    assert words(data, [0.5, 0.04, -1], "abc") == "Because of a in your history."  # b: less than a tenth of a
    assert words(data, [0.2, 0.3, 0.2], "aba") == "Because of a and b in your history."  # both events of a
    assert words(data, [0.5, 0.4], [None, "b"]) == "Because of b in your history."  # an unknown item
    known = words(data, [0.0009, -1], "ab", {"user_city": 0.2, "item_kind": 0.9})
    assert known == "Because of what the model knows of you: city."  # an event of a thousandth is noise
    nothing = "Nothing that is known of you raised the score of X"
    assert (
        words(data, [0.0009, -1], "ab", {"item_kind": 0.9}, lambda: "; many took it")
        == f"{nothing}; many took it."
    )
    assert words(data, [], "") == f"{nothing}."


def test_popular_has_more_events_than_nine_tenths_of_the_items():
    pairs = [(user, item) for user in range(12) for item in (99, *range(3 * user, 3 * user + 3))]
    heard = pd.DataFrame(pairs, columns=["user", "item"])
    train = leave_last_out(events := read_events(heard, catalogue="all"))[0]
    log, item = train.preparation.log(events), train.preparation.vocabularies["item"]
    popular, other = (popularity(log, int(row), train.preparation) for row in item.rows(np.array([99, 3])))
    assert (popular, other) == ("; it is popular with others (12 events, more than 97% of the items)", "")
