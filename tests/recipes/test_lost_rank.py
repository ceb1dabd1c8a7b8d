"""A rank that dies or hangs ends the others within the time-out."""

import json
import time

import pandas as pd
import pytest

from tests.recipes.launch import files, launch
from tests.recipes.tiny import EVENTS, SMALL

FATAL = """
import os
import signal
import time

from torchrec_ext.encoders import GRU


class Fatal(GRU):
    def __init__(self, dim: int, hang: bool = False, call: int = 3) -> None:
        super().__init__(dim)
        self.hang = hang
        self.call = call
        self.calls = 0

    def forward(self, events_BTD, lengths_B, times_BT=None):
        self.calls += 1
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if self.calls == self.call and os.environ["RANK"] == "1" and first:
            with open("lost", "w") as file:
                file.write(str(time.time()))
            if self.hang:
                time.sleep(600)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(events_BTD, lengths_B, times_BT)
"""
WORDS = (
    *EVENTS,
    *SMALL,
    "--k",
    "10",
    "--encoder",
    "fatal:Fatal",
    "--global-batch-size",
    "8",
)


@pytest.fixture
def before(folder):
    """The files there are before the run, the encoder among them."""
    (folder / "fatal.py").write_text(FATAL)
    (folder / "lost").write_text("")
    return {name for name in files(folder) if "__pycache__" not in name}


@pytest.mark.slow
def test_under_torchrun_a_dead_rank_ends_the_run(folder, before):
    # The launcher may end the first rank before that one can delete what it wrote.
    words = (*WORDS, "--output", "launched", "--timeout", "60")
    ended = launch("train_retrieval", *words, folder=folder, processes=2, succeeds=False)
    assert ended.status == 1 and "SIGKILL" in ended.launcher
    assert time.time() - float((folder / "lost").read_text()) < 60


@pytest.mark.slow
def test_torchrun_starts_the_ranks_again_and_the_run_goes_on(folder, before):
    words = (*WORDS, "--checkpoints.every", "2", "--resume", "--encoder.call")
    launch("train_retrieval", *words, "5", "--output", "again", folder=folder, processes=2, restarts=1)
    assert (folder / "lost").read_text()
    launch("train_retrieval", *words, "0", "--output", "whole", folder=folder, processes=2)
    again, whole = (pd.read_csv(folder / run / "history.csv") for run in ("again", "whole"))
    timed = ["samples_per_second", "seconds", "data_share"]
    pd.testing.assert_frame_equal(again.drop(columns=timed), whole.drop(columns=timed), rtol=1e-6)
    figures = [json.loads((folder / run / "metrics.json").read_text()) for run in ("again", "whole")]
    assert figures[0]["ndcg@10"] == pytest.approx(figures[1]["ndcg@10"], rel=1e-6) and figures[0]["users"]


@pytest.mark.parametrize(("hang", "limit"), [(False, 60), pytest.param(True, 15, marks=pytest.mark.slow)])
def test_without_torchrun_the_other_rank_notices(warm, folder, before, hang, limit):
    words = (*WORDS, "--output", "alone", *(["--encoder.hang"] if hang else []), "--timeout", str(limit))
    ended = warm.launch("train_retrieval", *words, folder=folder, processes=2, succeeds=False)
    assert ended.status == 1
    assert ended.error.startswith("train_retrieval.py: another rank has failed or does not answer"), ended
    took = ended.time - float((folder / "lost").read_text())
    assert took < (limit + 5 if hang else 10)  # the limit and a moment to wind up, or that moment alone
    assert {name for name in files(folder) if "__pycache__" not in name} == before
