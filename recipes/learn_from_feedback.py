"""Learns from what happened since a model was trained: tests on the events of a service, then trains on them.

python recipes/learn_from_feedback.py --run runs/ml1m --events events.sqlite --output runs/ml1m-live
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import torchrec_ext as tx
from torchrec_ext.command_line import (
    Feedback,
    clean_new,
    figures_over_time,
    find_feedback,
    overall,
    read_run_data,
    run_recipe,
    save_part,
    write_figures,
)
from torchrec_ext.errors import InputError, NothingToLearn


@dataclass(frozen=True)
class Settings:
    """Learns from the event log of a service, block by block: each event is predicted before it is learnt.

    New users, items and categories get rows behind the known ones; items that were added to the service
    bring their columns. The checkpoint of the output says up to which position of the log it has learnt.
    Started again, after an end or a kill, the recipe goes on from there: no event is lost or learnt twice.
    The hit rate and NDCG over time are in feedback.json and feedback.png of the output.
    """

    run: str
    """Folder of the run to go on from."""
    events: str
    """The event log of the service: a file, or kafka://host:9092/topic."""
    output: str
    """Folder of the run that is made, or goes on. It may be the same as --run."""
    users: str | None = None
    """Of events in Kafka: the Redis of the service, redis://host:6379/0."""
    block: int = 10_000
    """Events that are tested, and then learnt together."""
    epochs: int = 1
    """Epochs on each block."""
    k: int = 10
    """List length of the test of a retriever."""
    window: int = 500
    """Events of a point in the picture."""
    evict_after: float | None = None
    """Days without an event after which users and items become unknown, and new ones take their rows over."""
    repeats: bool = False
    """Recommend items again that a user has an event with, in the test."""
    data: str | None = None
    """File of the data of the run. By default where it was at the training."""
    data_dir: str | None = None
    """Folder where the data is now. By default where it was at the training."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Opens the run and learns from the log."""
    tx.distributed.join_group(settings.device)
    for name in ("block", "epochs", "k", "window"):
        if getattr(settings, name) < 1:
            raise InputError(f"--{name} should be at least 1, received {getattr(settings, name)}")
    if "://" not in settings.events and not Path(settings.events).is_file():
        raise InputError(f"--events {settings.events} is not there; name the event log of a service")
    tx.training.find_checkpoint(settings.run)
    with (
        tx.training.open_run(settings.output, resume=True) as output,
        closing(tx.serving.open_event_store(settings.events, settings.users)) as log,
    ):
        (output / "checkpoints").mkdir(exist_ok=True)
        (output / "feedback").mkdir(exist_ok=True)
        try:
            learn(settings, log, output)
        except tx.serving.StoreError as error:
            raise InputError(f"{error}; start the recipe again to go on from what it has learnt") from None


def learn(settings: Settings, log: tx.serving.EventStore, output: Path) -> None:
    """Tests and trains on the events after the position of the output, or of the run where there is none."""
    from torchrec_ext.command_line.run_record import RunRecord
    from torchrec_ext.serving.logged_events import as_events

    source, feedback = find_feedback(Path(settings.run), output)
    until = agreed(log.position)
    expect_same_log(log, until, feedback, source)
    run = RunRecord.open(source)
    trained = tx.training.load(source, device=settings.device)
    known = read_run_data(source, settings.data, settings.data_dir)
    first, tested, new = feedback.position + 1, list(feedback.tested), None
    position = feedback.position
    evict_after = None if settings.evict_after is None else settings.evict_after * 86_400
    while position < until:
        logged = [pair for pair in log.after(position, settings.block) if pair[0] <= until]
        position = logged[-1][0]
        before = known if new is None else tx.data.join_events(known, new, repeats=True)
        block = clean_new(as_events([event for _, event in logged], known), before, run)
        report(f"events up to {position:,} of {until:,}: {len(logged):,}, of which {len(block):,} are used")
        if not len(block):
            if block.items is not None and len(block.items):  # which later events may be of
                new = block if new is None else tx.data.join_events(new, block, repeats=True)
            continue
        predicted = test(trained, before, block, not settings.repeats)
        if predicted is not None:
            tested += figures_over_time(predicted, settings.k, settings.window, position)
        new = block if new is None else tx.data.join_events(new, block, repeats=True)
        name = save_part(new, output, first, position) if tx.distributed.world()[0] == 0 else None
        feedback = replace(
            feedback, position=position, fingerprint=fingerprint(logged[-1][1]), tested=tuple(tested),
            parts=(*feedback.parts, agreed(name)),
        )  # fmt: skip
        try:
            trained = tx.training.continue_training(
                trained, new, known, epochs=settings.epochs, output=output, evict_after=evict_after,
                device=settings.device, record=feedback.beside(run.record),
            )  # fmt: skip
        except NothingToLearn as error:
            report(f"nothing to learn up to {position:,}, so they wait for later events: {error}")
            feedback = replace(feedback, parts=feedback.parts[:-1])
            continue
        known, new, first = tx.data.join_events(known, new, repeats=True), None, position + 1
        write_figures(output, feedback)
    done = first - 1
    if done:
        write_figures(output, Feedback.of(trained.settings["data"]) or feedback)
    report(f"{output} has learnt the events up to {done:,} of {until:,}")
    figures = overall(tested).items()
    report("  ".join(f"{n} {v:,}" if isinstance(v, int) else f"{n} {v:.4f}" for n, v in figures))


def expect_same_log(log: tx.serving.EventStore, until: int, feedback: Feedback, source: Path) -> None:
    """Refuses a log that does not begin with the events that were learnt."""
    position = feedback.position
    if position and (
        position > until or fingerprint(log.after(position - 1, 1)[0][1]) != feedback.fingerprint
    ):
        raise InputError(
            f"{source} has learnt {position:,} events of another log than --events; name the log that it has "
            "learnt from"
        )


def test(
    trained: tx.training.TrainedModel, known: tx.data.Events, new: tx.data.Events, exclude_seen: bool
) -> Any:
    """Predicts each new event from all before it; None where none can be predicted."""
    from torchrec_ext.command_line.newer_events import newer_events

    both = tx.data.join_events(known, new, repeats=True)
    added = np.arange(len(both)) >= len(known)
    parts = newer_events(both, added, lambda events: events, trained.preparation, "events of a service")
    if parts is None:
        return None
    try:
        return tx.evaluation.prequential(trained, parts.known, parts.targets, exclude_seen=exclude_seen)
    except NothingToLearn:  # a ranker, and no event has a rating
        return None


def fingerprint(event: tx.serving.ServedEvent) -> str:
    """A checksum of an event of the log."""
    return hashlib.sha256(json.dumps(asdict(event), sort_keys=True).encode()).hexdigest()


def agreed(value: Any) -> Any:
    """What rank 0 has, on every rank: a service may add events between two looks at the log."""
    import torch.distributed as dist

    found = [value]
    dist.broadcast_object_list(found, src=0)
    return found[0]


def report(line: str) -> None:
    """Prints a line on rank 0."""
    if tx.distributed.world()[0] == 0:
        print(line, flush=True)


if __name__ == "__main__":
    run_recipe(main, Settings)
