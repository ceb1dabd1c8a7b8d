"""Later events cleaned as the data of a run, and figures over time."""

import json
import math

import pandas as pd
import pytest

import torchrec_ext as tx
from torchrec_ext.command_line.feedback import Feedback, clean_new, save_part, with_feedback
from torchrec_ext.command_line.feedback_figures import figures_over_time, overall, write_figures
from torchrec_ext.command_line.run_record import RunRecord
from torchrec_ext.errors import InputError
from torchrec_ext.serving import ServedEvent
from torchrec_ext.serving.logged_events import as_events

RATED = pd.DataFrame({
    "user": list("aabbcc"), "item": list("xyxyxy"), "timestamp": range(6), "rating": [5, 4, 1, 3, 5, 2.0],
})  # fmt: skip


def served(*pairs: tuple[str, str, float | None]) -> list[ServedEvent]:
    return [
        ServedEvent(user, item, 100.0 + place, context={} if rating is None else {"rating": rating})
        for place, (user, item, rating) in enumerate(pairs)
    ]


def record_of(events: tx.data.Events) -> RunRecord:
    return RunRecord(None, {"calls": events.source.calls}, None, None)


@pytest.mark.parametrize(
    ("cleaning", "kept"),
    [
        ({"min_rating": 3.0}, ["ax", "az", "bz"]),
        ({"where": {"rating": (3, None), "item": ["x", "y"]}}, ["ax"]),
        ({"duplicates": "first"}, ["az", "cz", "bz"]),
        ({"min_user_events": 2, "min_item_events": 3, "k_core": (2, 3)}, ["ax", "az", "cz", "bz"]),
        ({"min_rating": 5.0, "where": {"item": ["y"]}}, []),
    ],
)
def test_later_events_are_cleaned_as_the_data_was_but_need_no_rating(cleaning, kept):
    try:
        known = tx.data.clean(tx.data.read_events(RATED), **cleaning)
    except InputError:  # all of the data
        known = tx.data.clean(tx.data.read_events(RATED.assign(rating=5.0)), **cleaning)
    new = as_events(served(("a", "x", None), ("a", "z", 4), ("c", "z", 2), ("b", "z", None)), known)
    left = clean_new(new, known, record_of(known))
    assert [f"{u}{i}" for u, i in left.frame[["user", "item"]].itertuples(index=False)] == kept
    assert left.frame["rating"].isna().sum() == sum(pair in ("ax", "bz") for pair in kept)


def test_sessions_have_no_service():
    known = tx.data.sessions(tx.data.read_events(RATED), gap=3)
    with pytest.raises(InputError, match="was trained on sessions"):
        clean_new(known, known, record_of(known))


def test_the_parts_of_a_run_stand_behind_its_data(tmp_path):
    known = tx.data.read_events(RATED)
    (tmp_path / "feedback").mkdir()
    parts = tuple(
        save_part(as_events(served((user, "z", None)), known), tmp_path, place, place)
        for place, user in ((1, "new"), (2, "a"))
    )
    record = Feedback(position=2, parts=parts, tested=({"events": 1},)).beside({"events": 6})
    assert Feedback.of(json.loads(json.dumps(record))) == Feedback(
        position=2, parts=parts, tested=({"events": 1},)
    )
    assert Feedback.of({"events": 6}) is None
    both = with_feedback(known, tmp_path, record)
    assert both.frame["user"].tolist() == [*RATED["user"], "new", "a"]
    assert both.frame["rating"].isna().tolist() == [False] * 6 + [True] * 2
    with pytest.raises(InputError, match="is not there, whose events the run has learnt from"):
        with_feedback(known, tmp_path / "elsewhere", record)


def test_figures_of_windows_and_their_means(tmp_path):
    ranks = pd.DataFrame({"rank": [1, 0, 2, 1, 1], "time": [1.0, 2.0, 3.0, 4.0, 5.0]})
    rows = figures_over_time(ranks, k=1, window=2, position=9)
    assert [(row["events"], row["hr@1"], row["time"], row["position"]) for row in rows] == [
        (2, 0.5, 2.0, 9), (2, 0.5, 4.0, 9), (1, 1.0, 5.0, 9),
    ]  # fmt: skip
    assert overall(rows) == {"events": 5, "hr@1": pytest.approx(0.6), "ndcg@1": pytest.approx(0.6)}
    assert overall([]) == {"events": 0}
    unknown = [{"events": 3, "auc": math.nan, "position": 1, "time": 1.0}]
    assert overall([*unknown, {**unknown[0], "auc": 0.5, "events": 1}])["auc"] == 0.5
    write_figures(tmp_path, Feedback(position=1, tested=tuple(unknown)))
    found = json.loads((tmp_path / "feedback.json").read_text())
    assert found["auc"] is None and found["over_time"][0]["auc"] is None
    assert (tmp_path / "feedback.png").stat().st_size > 1_000


def test_a_record_names_no_folder_outside_the_run():
    whole = {"position": 1, "fingerprint": "", "origin": "", "tested": []}
    assert Feedback.of({"feedback": {**whole, "parts": ["000000000000-000000000001"]}})
    with pytest.raises(InputError, match="records the learnt events '../../keys', which no run does"):
        Feedback.of({"feedback": {**whole, "parts": ["../../keys"]}})
