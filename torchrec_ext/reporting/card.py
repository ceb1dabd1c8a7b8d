"""The protocol card and the costs of a run, in words and numbers."""

from typing import Any

from torchrec_ext.reporting.evaluated_run import EvaluatedRun


def protocol_in_words(run: EvaluatedRun) -> dict[str, str]:
    """Data and checksum, filters, split with dates, candidates, ties and what leaks; name -> words."""
    figures, card = run.figures, run.figures.get("card") or {}
    counts, parts = figures.get("counts") or {}, card.get("parts") or []
    dates = card.get("dates") or {}
    found = {
        "data": card.get("data"),
        "sha256": card.get("sha256"),
        "filters": "; ".join(card.get("filters") or []) or "none",
        "order": card.get("order"),
        "split": card.get("split"),
        "parts": "; ".join(
            f"{part['name']}: {part['events']:,} events, {part['users']:,} users, {part['items']:,} items"
            for part in parts
        ),
        "new users and items": "; ".join(
            f"{part['name']}: {part['cold_users']:,} users and {part['cold_items']:,} items that have no "
            "training event"
            for part in parts[1:]
        ),
        "dates": "; ".join(f"{name}: {first} to {last}" for name, (first, last) in dates.items()),
        "leaks": card.get("leak"),
        "measured": figures.get("protocol"),
    }
    if not run.is_ranker:
        found["candidates"] = f"{figures['items']:,} items"
        users = figures["users"]
        found["ties"] = (
            f"the lower row goes first; {counts.get('tied', 0):,} of {users:,} users have a target that ties "
            f"within the list, and the order of ties decides for {counts.get('undecided', 0):,}"
        )
    return {name: str(words) for name, words in found.items() if words}


def costs(run: EvaluatedRun) -> dict[str, Any]:
    """Seconds and speed of training and evaluation, and memory of the weights; None for what is not known."""
    card, training = run.figures.get("card") or {}, run.training
    seconds = card.get("evaluation_seconds")
    many, what = run.values.users.num_rows, "users/s"
    if run.is_ranker:
        many, what = len(run.lists("scores")[0]), "pairs/s"
    size = card.get("bytes_a_rank")
    return {
        "epochs": training.get("epochs"),
        "training, s": training.get("seconds"),
        "examples/s": training.get("examples_per_second"),
        "evaluation, s": seconds,
        what: many / seconds if seconds else None,
        "ranks": training.get("world_size"),
        "weights a rank, MB": size / 1e6 if size is not None else None,
    }
