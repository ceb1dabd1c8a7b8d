"""What cannot be trained on is refused in one line, and nothing is left behind."""

import json

import pytest

from tests.recipes.launch import files
from tests.recipes.tiny import EVENTS, SMALL


@pytest.mark.parametrize(
    ("words", "thing", "remedy"),
    [
        (["--data", "event.csv"], "no file event.csv", "did you mean events.csv?"),
        (["--data", "empty.csv"], "empty.csv is empty", "expected a header and rows"),
        (["--data", "users.csv", "--columns"], "users.csv has no column for item", "--columns item=NAME"),
        (["--min-user-events", "1000"], "min_user_events=1000 removes all events", "lower it"),
        (["--encoder", "grru"], "'grru'", "did you mean 'gru'?; there are attention_pool, bert4rec,"),
        (["--encoder", "nowhere:Encoder"], "cannot import 'nowhere:Encoder'", "correct the name"),
        (["--k", "10", "41"], "received 41", "--k must be from 1 to the number of items, 40"),
        (["--sharding", "itm=row_wise"], "'itm'", "it has item"),
        (["--output", "notes"], "notes exists", "add --overwrite to delete it (or --resume"),
        (["--output", "notes", "--overwrite"], "notes is not a run of this package", "name another"),
    ],
)  # fmt: skip
def test_training_is_refused(warm, folder, words, thing, remedy):
    entry = folder / "theirs-1.0.dist-info"  # a package of somebody else's brings an encoder
    entry.mkdir(exist_ok=True)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (entry / "entry_points.txt").write_text("[torchrec_ext.encoders]\ntheirs = theirs.encoder:Theirs\n")
    (folder / "notes").mkdir(exist_ok=True)
    (folder / "notes" / "diary.txt").write_text("mine")
    (folder / "empty.csv").write_text("")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    everything = (*EVENTS, *SMALL, "--k", "10", "--output", "runs/new", *words)
    ended = warm.launch("train_retrieval", *everything, folder=folder, succeeds=False)
    assert ended.status == 2
    assert ended.error.startswith("train_retrieval.py: ") and thing in ended.error and remedy in ended.error
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (folder / "runs").exists()


def test_a_run_to_be_overwritten_survives_a_refusal_on_two_ranks(warm, folder):
    (folder / "old" / "checkpoints").mkdir(parents=True)
    (folder / "old" / "settings.json").write_text(json.dumps({"recipe": "train_retrieval"}))
    before = files(folder)
    words = (*EVENTS, *SMALL, "--k", "10", "--output", "old", "--overwrite", "--sharding", "item=cube_wise")
    ended = warm.launch("train_retrieval", *words, folder=folder, processes=2, succeeds=False)
    assert "sharding 'cube_wise' of table 'item' is not possible" in ended.error
    # torch itself may warn there that rank 0 has closed the connection
    assert ended.out[1] == "" and "train_retrieval.py" not in ended.err[1]
    assert files(folder) == before
