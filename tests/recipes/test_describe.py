"""The recipe that describes data."""

from tests.recipes.tiny import EVENTS, ITEMS, SIDES, USERS


def test_the_table_the_sheet_and_the_split(warm, folder, events):
    words = (*EVENTS, *SIDES, "--output", "plots/sheet.png")
    out = warm.launch("describe", *words, folder=folder).out[0]
    assert out.startswith("events.csv: events are ordered by timestamp")
    counts = [line.split() for line in out.splitlines()[2:5]]
    assert counts == [["events", f"{len(events):,}"], ["users", str(USERS)], ["items", str(ITEMS)]]
    assert "missing  nothing in" in out and "the future leaks into training: " in out
    assert ["test", str(USERS), str(USERS)] in [line.split()[:3] for line in out.splitlines()]
    assert (folder / "plots" / "sheet.png").read_bytes().startswith(b"\x89PNG")
    again = warm.launch("describe", *words, folder=folder, succeeds=False)
    assert again.status == 2 and "exists; add --overwrite" in again.error


def test_cleaning_is_reported_and_a_split_that_does_not_fit_comes_last(warm, folder, events):
    words = (*EVENTS, "--min-rating", "3", "--split", "by_time")
    ended = warm.launch("describe", *words, folder=folder, succeeds=False)
    removed = int((events["stars"] < 3).sum())
    assert f"removed  min_rating=3: removed {removed} events" in ended.out[0]
    assert ended.status == 2 and "--split by_time needs --valid-from and --test-from" in ended.error


def test_on_two_ranks_the_first_alone_speaks(warm, folder):
    ended = warm.launch("describe", *EVENTS, folder=folder, processes=2)
    assert "density" in ended.out[0] and ended.out[1] == ended.err[1] == ""
