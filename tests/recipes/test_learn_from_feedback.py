"""A run learns from the log of a service: growing, killed and started again, on two processes."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import torchrec_ext as tx
from tests.recipes.launch import ROOT, user_environment
from tests.recipes.tiny import EVENTS
from tests.serving.servers import kafka_mock, redis_server
from tests.shards import assert_equal, held
from torchrec_ext.command_line import read_run_data
from torchrec_ext.serving import KafkaEventStore, NewItem, ServedEvent, SqliteEventStore, open_bundle

COUNT, BLOCK = 300, 120
BLOCKS = ("--block", BLOCK, "--window", 40)
KILLED = "../tests/recipes/killed"


def served(count: int, seed: int = 1, rated: bool = False) -> list[ServedEvent]:
    """Clicks of known users and items and of 10 and 5 new ones; with ratings, of every other one."""
    rng = np.random.default_rng(seed)
    events = []
    for number in range(count):
        user, item, stars = rng.integers(70), rng.integers(45), int(rng.integers(1, 6))
        context = {"rating": stars} if rated and number % 2 else {}
        when = 1.7e9 + 9.5 * number
        events.append(ServedEvent(f"u{user}", f"i{item}", when, context=context, id=f"{seed}-{number}"))
    return events


def write_log(path: Path, events: list[ServedEvent]) -> None:
    with SqliteEventStore(path) as log:
        log.append(events)


@pytest.fixture(scope="module")
def trained(folder, warm):
    """A run, a log, and the run that has learnt from it without an interruption."""
    train = ("--encoder", "gru", "--dim", 8, "--epochs", 2, "--k", 10, "--output", "run")
    warm.launch("train_retrieval", *EVENTS, *train, folder=folder)
    write_log(folder / "log.sqlite", served(COUNT))
    words = ("--run", "run", "--events", "log.sqlite", *BLOCKS)
    ended = warm.launch("learn_from_feedback", *words, "--output", "whole", folder=folder)
    assert "whole has learnt the events up to 300 of 300\nevents 300  hr@10 0." in ended.out[0]
    return folder


def position_of(run: Path) -> int:
    found = json.loads((tx.training.find_checkpoint(run) / "training.json").read_text())["data"]
    return found.get("feedback", {}).get("position", 0)


def expect_same_runs(run: Path, whole: Path) -> None:
    first, second = tx.training.load(run), tx.training.load(whole)
    assert_equal(held(first.module.state_dict()), held(second.module.state_dict()))
    assert first.settings["data"] == second.settings["data"]
    assert list(first.history["epoch"]) == list(second.history["epoch"])
    assert (run / "feedback.json").read_text() == (whole / "feedback.json").read_text()
    assert (run / "feedback.png").stat().st_size > 5_000


@pytest.mark.slow
def test_a_log_in_kafka_is_learnt_like_a_file(trained, warm):
    with redis_server() as redis, kafka_mock() as kafka:
        topic = kafka.topic()
        with KafkaEventStore(kafka.servers, topic, redis.url) as log:
            log.append(served(COUNT))
        words = (
            "--run",
            "run",
            "--events",
            f"kafka://{kafka.servers}/{topic}",
            "--users",
            redis.url,
            *BLOCKS,
        )
        warm.launch("learn_from_feedback", *words, "--output", "kafka", folder=trained)
        expect_same_runs(trained / "kafka", trained / "whole")
        redis.stop()
        ended = warm.launch(
            "learn_from_feedback", *words, "--output", "kafka", folder=trained, succeeds=False
        )
        assert ended.status == 2 and "users cannot be kept in Redis: " in ended.err[0]


def test_each_event_is_predicted_and_then_learnt(trained, warm):
    run = tx.training.load(trained / "whole")
    assert [len(run.preparation.vocabularies[name]) for name in ("user", "item")] == [71, 46]
    old = tx.training.load(trained / "run").preparation.vocabularies["item"].index
    assert list(run.preparation.vocabularies["item"].index[:40]) == list(old)
    figures = json.loads((trained / "whole" / "feedback.json").read_text())
    assert (figures["position"], figures["events"]) == (COUNT, COUNT)
    assert [row["events"] for row in figures["over_time"]] == [40] * 7 + [20]
    assert [row["position"] for row in figures["over_time"]] == [120] * 3 + [240] * 3 + [300] * 2
    mean = np.average([row["hr@10"] for row in figures["over_time"]], weights=[40] * 7 + [20])
    assert 0 < figures["hr@10"] == pytest.approx(mean)


def test_the_run_s_events_and_its_bundle_hold_those_of_the_log(trained, warm):
    events = read_run_data(trained / "whole", data_dir=str(trained))
    wanted = [(event.user, event.item, int(event.timestamp)) for event in served(COUNT)]
    found = events.frame.iloc[-COUNT:]
    assert list(found[["user", "item", "timestamp"]].itertuples(index=False, name=None)) == wanted
    assert found["rating"].isna().all() and len(events) > COUNT
    warm.launch("export", "--checkpoint", "whole", "--output", "bundle", folder=trained)
    bundle = open_bundle(trained / "bundle")
    assert bundle.manifest["position"] == COUNT and len(bundle.events) == len(events)
    lists = ("--users", "u65", "--k", 5, "--output", "lists.csv")
    warm.launch("recommend", "--checkpoint", "whole", *lists, folder=trained)
    assert set(pd.read_csv(trained / "lists.csv")["source"]) == {"model"}


SLOW = [pytest.param(moment, marks=pytest.mark.slow) for moment in range(1, 20) if moment != 6]


@pytest.mark.parametrize("moment", [6, *SLOW])
def test_killed_and_started_again_it_loses_and_doubles_nothing(trained, warm, moment):
    output = f"killed-{moment}"
    words = ("--run", "run", "--events", "log.sqlite", *BLOCKS, "--output", output)
    ended = warm.launch(KILLED, "learn_from_feedback", moment, *words, folder=trained, succeeds=False)
    assert ended.status == -signal.SIGKILL
    warm.launch("learn_from_feedback", *words, folder=trained)
    expect_same_runs(trained / output, trained / "whole")
    shutil.rmtree(trained / output)


@pytest.mark.slow
def test_killed_at_random_moments(trained):
    import random
    import subprocess
    import sys

    words = ["--run", "run", "--events", "log.sqlite", *map(str, BLOCKS), "--output", "random"]
    command = [sys.executable, str(ROOT / "recipes" / "learn_from_feedback.py"), *words]
    positions = []
    for attempt in range(4):
        process = subprocess.Popen(
            command, cwd=trained, env=user_environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        time.sleep(random.Random(attempt).uniform(0, 1.5))
        process.kill()
        process.communicate()
        started = (trained / "random" / "checkpoints" / "best").is_file()
        positions.append(position_of(trained / "random") if started else 0)
    assert positions == sorted(positions)
    subprocess.run(command, cwd=trained, env=user_environment(), check=True, capture_output=True)
    expect_same_runs(trained / "random", trained / "whole")


@pytest.mark.slow
def test_later_events_are_learnt_by_the_next_call_and_in_a_third_run(trained, warm):
    log = trained / "growing.sqlite"
    words = ("--run", "run", "--events", log, *BLOCKS, "--output", "growing")
    write_log(log, served(COUNT)[:100])
    warm.launch("learn_from_feedback", *words, folder=trained)
    assert position_of(trained / "growing") == 100
    write_log(log, served(COUNT)[100:])
    third = ("--run", "growing", "--events", log, *BLOCKS, "--output", "third")
    for line, output in ((third, "third"), (words, "growing")):
        ended = warm.launch("learn_from_feedback", *line, folder=trained)
        assert f"{output} has learnt the events up to 300 of 300" in ended.out[0]
        assert "events up to 220 of 300: 120, of which 120" in ended.out[0]
        assert json.loads((trained / output / "feedback.json").read_text())["events"] == COUNT
    parts = [folder.name for folder in sorted((trained / "third" / "feedback").iterdir())]
    assert parts == [f"{a:012d}-{b:012d}" for a, b in ((1, 100), (101, 220), (221, 300))]
    shutil.rmtree(trained / "growing")  # the third run does not need it
    found = read_run_data(trained / "third", data_dir=str(trained))
    assert list(found.frame["user"].iloc[-COUNT:]) == [event.user for event in served(COUNT)]


@pytest.mark.slow
def test_idle_users_and_items_give_their_rows_back(trained, warm):
    """Between the data and the log lie three years, and the log takes 48 minutes."""
    words = ("--run", "run", "--events", "log.sqlite", "--output", "evicted", "--evict-after", 30)
    warm.launch("learn_from_feedback", *words, folder=trained)
    run, events = tx.training.load(trained / "evicted"), served(COUNT)
    users, items = ({getattr(event, name) for event in events} for name in ("user", "item"))
    for entity, seen in (("user", users), ("item", items)):
        vocabulary = run.preparation.vocabularies[entity]
        known = np.flatnonzero(run.preparation.trained.known(entity, np.arange(len(vocabulary))))
        assert {*vocabulary.ids(known).tolist()} <= seen <= {*vocabulary.index}
        whole = tx.training.load(trained / "whole").preparation.vocabularies[entity]
        assert len(vocabulary) < len(whole) or entity == "item"  # each of them is in the log


@pytest.mark.slow
def test_items_that_were_added_to_the_service_bring_their_columns(trained, warm):
    """The first block has items alone, one of which is clicked in the second."""
    train = ("--items", "items.csv", "--item-fields", "item_kind", "--dim", 4, "--epochs", 1, "--k", 10)
    warm.launch("train_retrieval", *EVENTS, *train, "--output", "sides", folder=trained)
    new = [NewItem("n1", {"kind": "x", "title": "One"}), NewItem("n2", {"kind": "z"})]
    clicks = [ServedEvent(f"u{user}", "n2", 1.7e9 + user) for user in range(4)]
    write_log(trained / "items.sqlite", [*(item.entry(item.item) for item in new), *clicks])
    words = ("--run", "sides", "--events", "items.sqlite", "--output", "sides2", "--block", 2)
    ended = warm.launch("learn_from_feedback", *words, folder=trained)
    assert "events up to 2 of 6: 2, of which 0 are used" in ended.out[0]
    assert "sides2 has learnt the events up to 6 of 6" in ended.out[0]
    run, known = (
        tx.training.load(trained / "sides2"),
        read_run_data(trained / "sides2", data_dir=str(trained)),
    )
    rows = known.items.set_index("item")
    assert rows.loc["n1", "title"] == "One" and rows.loc["n2", "kind"] == "z" and len(rows) == 42
    found = run.preparation
    assert found.vocabularies["item"].rows(["n1", "n2"]).tolist() == [0, 41]  # nobody has clicked the first
    kinds = found.sides["item"].ids("item_kind", np.array([41]))[0]
    assert found.vocabularies["item_kind"].ids(kinds).tolist() == ["z"]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(trained, warm):
    words = ("--run", "run", "--events", "log.sqlite", *BLOCKS, "--output", "two")
    warm.launch("learn_from_feedback", *words, folder=trained, processes=2)
    alone, together = (
        json.loads((trained / name / "feedback.json").read_text()) for name in ("whole", "two")
    )
    assert (together["position"], together["events"]) == (COUNT, COUNT)
    assert together["over_time"][:3] == alone["over_time"][:3]  # by the model before
    assert together["ndcg@10"] == pytest.approx(alone["ndcg@10"], abs=0.03)


@pytest.mark.slow
def test_a_ranker_learns_from_events_with_a_rating(trained, warm):
    train = ("--dim", 4, "--epochs", 1, "--positive", 3, "--output", "ranker")
    warm.launch("train_ranking", *EVENTS, *train, folder=trained)
    words = ("--run", "ranker", "--events", "rated.sqlite", "--output", "ranker2", "--block", 100)
    write_log(trained / "rated.sqlite", served(100))
    ended = warm.launch("learn_from_feedback", *words, folder=trained)
    assert "nothing to learn up to 100, so they wait for later events" in ended.out[0]
    assert "ranker2 has learnt the events up to 0 of 100" in ended.out[0]
    write_log(trained / "rated.sqlite", served(100, seed=2, rated=True))
    ended = warm.launch("learn_from_feedback", *words, folder=trained)
    assert "ranker2 has learnt the events up to 200 of 200" in ended.out[0]
    figures = json.loads((trained / "ranker2" / "feedback.json").read_text())
    assert figures["events"] == 50 and 0 < figures["auc"] < 1
    assert len(read_run_data(trained / "ranker2", data_dir=str(trained)).frame.iloc[-200:]) == 200


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--events", "none.sqlite"), "--events none.sqlite is not there"),
        (("--events", "other.sqlite"), "has learnt 300 events of another log than --events"),
        (("--run", "whole", "--output", "run"), "--output run holds another run"),
        (("--run", "bundle"), "bundle has no finished checkpoint"),
        (("--block", 0), "--block should be at least 1, received 0"),
    ],
)
def test_what_cannot_be_is_one_line(trained, warm, words, message):
    write_log(trained / "other.sqlite", served(COUNT, seed=5))
    (trained / "bundle").mkdir(exist_ok=True)
    usual = {"--run": "run", "--events": "log.sqlite", "--output": "whole"}
    usual |= dict(zip(words[::2], words[1::2], strict=True))
    words = [str(word) for pair in usual.items() for word in pair]
    ended = warm.launch("learn_from_feedback", *words, folder=trained, succeeds=False)
    assert ended.status == 2 and message in ended.error
