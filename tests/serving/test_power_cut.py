"""A power cut: what SQLite had not synced is missing or torn, and what was acknowledged is all there."""

import shutil

import pytest

from torchrec_ext.serving import ServedEvent, SqliteEventStore


def batch(name: str) -> list[ServedEvent]:
    return [ServedEvent("ann", k, 2.0, id=f"{name}-{k}", context={"text": "x" * 400}) for k in range(20)]


def torn(tail: bytes, left: int, kind: str) -> bytes:
    """The tail of a file of which the disk has the first bytes alone."""
    rest = len(tail) - left
    return tail[:left] + {"cut": b"", "zeros": bytes(rest), "old": tail[:rest]}[kind]


@pytest.mark.parametrize("kind", ["cut", "zeros", "old"])
def test_an_append_that_a_power_cut_tore_is_there_whole_or_not_at_all(kind, tmp_path):
    folder = tmp_path / "live"
    folder.mkdir()
    with SqliteEventStore(folder / "events") as store:
        wal = folder / "events-wal"
        store.append(batch("acknowledged"))  # so it is synced
        synced = wal.stat().st_size
        shutil.copytree(folder, tmp_path / "crashed")
        store.append(batch("torn"))
        whole = wal.read_bytes()
    tail, found = whole[synced:], set()
    assert len(tail) > 4096
    for left in (*range(0, len(tail), 3000), len(tail) - 1, len(tail)):
        after = shutil.copytree(tmp_path / "crashed", tmp_path / f"{left}")
        (after / "events-wal").write_bytes(whole[:synced] + torn(tail, left, kind))
        with SqliteEventStore(after / "events") as store:
            ids = [event.id for _, event in store.after(0, 99)]
            assert ids[:20] == [event.id for event in batch("acknowledged")]
            assert ids[20:] in ([], [event.id for event in batch("torn")])
            assert store.append(batch("torn")) == list(
                range(21, 41)
            )  # sent again: once, whatever became of it
            found.add(len(ids))
    assert found == {20, 40}
