r"""Explains: which events and features raised the score of an item, as a table and as a sentence.

python recipes/explain.py --checkpoint runs/ml1m --user 22 --verb watched
python recipes/explain.py --checkpoint runs/ml1m --user 22 --item 260 --method integrated_gradients \
    --output runs/ml1m/map.png --colour genres
"""

from dataclasses import dataclass
from typing import Literal

import torchrec_ext as tx
from torchrec_ext.checks import expect_at_least
from torchrec_ext.command_line import read_run_data, run_recipe, writable_file
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Explains the score of an item for a user, and tests whether the explanations are right about the model.

    The run may come from a recipe or from fit(output=...).
    """

    checkpoint: str
    """Folder of the run, whose best checkpoint is used, or of one of its checkpoints."""
    user: str
    """Id of the user."""
    item: str | None = None
    """Id of the item. By default the first of the user's list."""
    method: Literal["leave_one_out", "integrated_gradients", "attention", "factors"] = "leave_one_out"
    """leave_one_out leaves out one event or feature at a time. integrated_gradients (with captum) adds up to
    the score less that of a baseline. attention shows the weights of din, sim, narm or attention_pool, and
    only if they pass the test. factors are the products of the components of the two vectors."""
    verb: str | None = None
    """What users do with items, for the sentence, such as watched."""
    rows: int = 10
    """Events and features that are printed, those with the largest contributions."""
    test: int = 0
    """Users, drawn by chance, whose explanations are tested by deleting events; 0 tests none, or 50 of
    attention."""
    output: str | None = None
    """PNG file for a map of the items, of a retriever."""
    colour: str | None = None
    """Column of the items that colours the map."""
    data: str | None = None
    """File of newer events of the same columns. By default the data that the run was trained on."""
    data_dir: str | None = None
    """Folder where the data is now. By default where it was at the training."""
    seed: int = 0
    """Of the users of --test."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Opens the run, prints the explanation and writes the map."""
    expect_at_least(0, rows=settings.rows, test=settings.test, seed=settings.seed)
    output = writable_file(settings.output, settings.overwrite)
    if output is not None and output.suffix != ".png":
        raise InputError(f"--output {output} should end in .png")
    group = tx.distributed.join_group(settings.device)
    log = print if group.first else lambda *_: None
    folder = tx.training.find_checkpoint(settings.checkpoint)
    events = read_run_data(settings.checkpoint, settings.data, settings.data_dir)
    trained = tx.training.load(folder, device=settings.device)

    item, method = settings.item, settings.method
    if item is None:
        item = tx.retrieval.recommend(trained, events, [settings.user], k=1)["item"].iloc[0]
    tested, many = None, settings.test or 50 * (method == "attention")
    if many:
        users = events.ids("user").to_series()
        users = users.sample(min(many, len(users)), random_state=settings.seed % 2**32)
        pairs = tx.retrieval.recommend(trained, events, users, k=1)
        tested = tx.explanation.faithfulness(trained, events, pairs, method=method, seed=settings.seed)
    passed = tested if method == "attention" else None
    table = tx.explanation.explain(trained, events, settings.user, item, method=method, tested=passed)
    log(f"score of item {item} for user {settings.user}: {table.attrs['score']:.4f}")
    log(table.head(settings.rows).to_string(index=False, float_format="{:+.4f}".format, na_rep=""))
    if method in ("leave_one_out", "integrated_gradients"):
        sentence = tx.explanation.because(
            trained, events, settings.user, item, verb=settings.verb, method=method
        )
        log(sentence)
    if tested is not None:
        log(tested.table.to_string(index=False, float_format="{:.3f}".format))
        log(tested.verdict)
    if output is not None:
        figure = tx.explanation.item_map(trained, events, settings.colour)
        if group.first:
            output.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(output)
        log(f"map of the items in {output}")


if __name__ == "__main__":
    run_recipe(main, Settings)
