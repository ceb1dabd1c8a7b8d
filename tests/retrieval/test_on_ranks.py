"""Vectors and lists are the same on every rank, and those of one process."""

import pandas as pd

from tests import processes
from tests.retrieval.trained import EVENTS, trained
from torchrec_ext.retrieval import recommend

USERS = [5, 2, "x", 40, 11]
OWN = {2: [110, 120, 103, 104], 5: [101, 102, 103], 40: list(range(101, 131)), "x": [107]}
SESSIONS = [[101, 102, 103], [], [130, "129", 128, 5]]
RESTRICTIONS = (
    {"candidates": OWN, "exclude": {5: [101], "x": [108]}},
    {"exclude": [103], "where": "price < 5"},
    {"candidates": [107]},
    {},
)


def outcomes() -> dict[str, pd.DataFrame]:
    """What every method and argument gives; with fewer users or items than ranks too."""
    context = pd.DataFrame({"user": USERS, "device": ["desk", "phone", None, "desk", "phone"], "hour": 2.5})
    found = {}
    for name in ("history", "interests", "context"):
        model = trained(name)
        found[f"{name} items"] = model.item_vectors()
        found[f"{name} one item"] = model.item_vectors([120])
        found[f"{name} users"] = model.user_vectors(EVENTS)
        found[f"{name} similar"] = model.similar_items([104, 130, 101], k=29)
        found[f"{name} similar to one"] = model.similar_items(104, k=1)
    found["users in the moment"] = trained("context").user_vectors(EVENTS, [5, 2, 40], context=context)
    history = trained("history")
    index, of_one = history.build_index(), history.build_index([107])
    for place, settings in enumerate(RESTRICTIONS):
        for name in ("history", "context", "context ranker"):
            of_request = {"context": context} if name.startswith("context") else {}
            found[f"{name} {place}"] = recommend(trained(name), EVENTS, USERS, 7, **settings, **of_request)
        found[f"index {place}"] = recommend(history, EVENTS, USERS, 7, index=index, chunk=2, **settings)
        found[f"popular {place}"] = recommend(history, EVENTS, ["x"], 7, index=index, **settings)
    found["index of one item"] = recommend(history, EVENTS, USERS, 1, index=of_one)
    found["sessions"] = recommend(history, EVENTS, sessions=SESSIONS, k=7)
    found["sessions alone"] = recommend(history, sessions=SESSIONS[:1], k=7, exclude={0: [110]}, index=index)
    return found


def test_two_processes_find_what_one_does():
    first, second = processes.run(outcomes)
    alone = outcomes()
    assert first.keys() == alone.keys()
    for name, frame in alone.items():
        pd.testing.assert_frame_equal(first[name], second[name], obj=f"{name}: ranks")
        pd.testing.assert_frame_equal(first[name], frame, atol=1e-3, rtol=1e-3, obj=name)
    assert all(len(frame) for frame in alone.values())
