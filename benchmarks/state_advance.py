"""Times what one event costs the state of a user, by the length of the history before it.

python benchmarks/state_advance.py --encoders gru lstm lrurec
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from command import Common, check_common, run_command
from interleaved import compared
from record import Row, save
from serving import export_untrained
from tables import table_of

import torchrec_ext as tx
from torchrec_ext.serving import Bundle, ServedEvent, Service, SqliteEventStore

ITEMS, USERS = 20_000, 10


@dataclass(frozen=True)
class Settings(Common):
    """Adds an event to users in turn, and times reading the history and advancing the state."""

    encoders: tuple[str, ...] = ("gru", "lstm", "lrurec")
    """Streaming encoders, with first weights."""
    lengths: tuple[int, int] = (10, 1000)
    """Events of a short and of a long history, which each timed event makes one longer."""
    dim: int = 64
    """Width of the vectors."""
    rounds: int = 30
    """Events of each user; short and long histories take turns."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, {"encoders": ("gru",), "rounds": 5})


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, lengths=1, dim=1, rounds=1)


def run(settings: Settings) -> None:
    """Measures every encoder, prints a table and writes the files."""
    rows: list[Row] = []
    short, long = (f"history of {length:,}" for length in settings.lengths)
    for encoder in settings.encoders:
        with tempfile.TemporaryDirectory() as folder:
            bundle = make_bundle(settings, encoder, Path(folder) / "bundle")
            with SqliteEventStore(Path(folder) / "events.sqlite") as store:
                times = measure(settings, Service(bundle, store), store).tolist()
        first, second = (1000 * float(np.median(taken)) for taken in times)
        rows.append(compared(encoder, long, "ms", second, short, times[1], times[0]))
        rows.append(Row(encoder, short, "ms", first))
    print(table_of(rows))
    save(settings, "state_advance", rows)


def make_bundle(settings: Settings, encoder: str, folder: Path) -> Bundle:
    """A bundle with users of both lengths."""
    users = np.repeat(np.arange(2 * USERS), np.repeat(settings.lengths, USERS))
    rest = np.arange(ITEMS)  # every item has an event, of users who are not timed
    rng = np.random.default_rng(0)
    events = pd.DataFrame({
        "user": np.concatenate([users, 1000 + rest % 1000]),
        "item": np.concatenate([rng.integers(0, ITEMS, len(users)), rest]),
        "timestamp": 1.6e9 + 10.0 * np.arange(len(users) + ITEMS),
    })  # fmt: skip
    known = tx.data.read_events(events)
    train, _, _ = tx.data.by_ratio(known, valid=0.001, test=0.001)
    return export_untrained(known, train, settings.dim, encoder, max(settings.lengths), folder)


@torch.inference_mode()
def measure(settings: Settings, service: Service, store: SqliteEventStore) -> np.ndarray:
    """``(2, rounds)`` seconds of an event of a short and of a long history: of each round the median."""
    live, rng, times = service.live, np.random.default_rng(1), np.zeros((2, settings.rounds, USERS))
    assert live.states is not None
    for number in range(-2, settings.rounds):  # the first events read the whole history
        for place in range(USERS):
            for long in (0, 1):
                event = ServedEvent(long * USERS + place, int(rng.integers(ITEMS)), 1.7e9 + number)
                store.append([event])
                begin = time.process_time()  # of reading the event from the log, and of the step
                live.states.state_of(live.users.of(event.user))
                times[long, max(number, 0), place] = time.process_time() - begin
    return np.median(times, axis=2)


if __name__ == "__main__":
    main()
