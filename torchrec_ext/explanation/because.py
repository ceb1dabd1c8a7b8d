"""because(): the reason for a score in one sentence."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.explanation.attribution import Attribution
from torchrec_ext.explanation.find_pair import PairFinder
from torchrec_ext.explanation.methods import METHODS, OF_SCORES
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.trained_model import TrainedModel

_NOISE = 1e-3
"""A contribution below this share of the score, which rounding or a weak model makes, is not a reason."""
_POPULAR = 0.9


def because(
    model: TrainedModel,
    data: Events,
    user: Any,
    item: Any,
    *,
    verb: str | None = None,
    most: int = 2,
    method: str = "leave_one_out",
    context: Mapping[str, Any] | None = None,
) -> str:
    """Why an item is recommended to a user, in one sentence.

    The rule: it names the titles (or ids) of the events that raised the score most, at most ``most``, each by
    more than a thousandth of the score and by at least a tenth of what the first of them did. If no event
    did, it names the features of the user and the context that did. Otherwise it says that there are none,
    and whether the item is popular: has more events than nine tenths of the items.

    Args:
        model: as for :func:`explain`, like ``data``, ``user``, ``item`` and ``context``.
        data: every event known now.
        user: id as in the data.
        item: id of an item of the catalogue.
        verb: what users do with items, such as ``"watched"``; None for a sentence without one.
        most: titles that are named.
        method: ``leave_one_out`` or ``integrated_gradients``.
        context: of the moment.

    Returns:
        A sentence such as "Because you watched Alien and Aliens."

    Raises:
        InputError: as :func:`explain` does.

    Example:
        >>> import pandas as pd, torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4, encoder="mean_pool")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> because(trained, events, user="new", item="a")
        'Nothing that is known of you raised the score of a.'
    """
    expect_one_of("method", method, OF_SCORES)
    finder = PairFinder(model, data)
    pair = finder.find(user, item, context)
    with inference(model.module):
        found = METHODS[method](pair)
    items = pair.items
    titles = [
        title or (None if own is None else str(own))
        for own, title in zip(items, finder.titles(items), strict=True)
    ]
    return sentence(
        found, titles, finder.titles([item])[0] or str(item), model.preparation,
        lambda: popularity(finder.log, pair.row, model.preparation), verb=verb, most=most,
    )  # fmt: skip


def popularity(log: EventLog, row: int, preparation: Preparation) -> str:
    """That the item of a row is popular among the known events, in words; empty if it is not."""
    catalogue = preparation.trained.catalogue
    counts = np.bincount(log.target_items(), minlength=int(max(catalogue.max(initial=0), row)) + 1)
    above = (counts[catalogue] < counts[row]).mean()
    how = f"{counts[row]:,} events, more than {above:.0%} of the items"
    return "" if above < _POPULAR else f"; it is popular with others ({how})"


def sentence(
    found: Attribution,
    titles: Sequence[str | None],
    title: str,
    preparation: Preparation,
    popular: Callable[[], str] | None = None,
    *,
    verb: str | None = None,
    most: int = 2,
) -> str:
    """The sentence of :func:`because`.

    Args:
        found: of the pair.
        titles: of the item of each event; None leaves the event out.
        title: of the item.
        preparation: of the model.
        popular: the end of the sentence where nothing raised the score; None if there is none.
        verb: what users do with items, or None.
        most: titles that are named.
    """
    if named := raised_most(found, titles, most):
        return (
            f"Because you {verb} {_listed(named)}."
            if verb
            else f"Because of {_listed(named)} in your history."
        )
    of_user = {f.name: f.column for f in preparation.schema.of("user", "context")}
    raised = {name: value for name, value in found.features.items() if name in of_user}
    if named := _largest(raised, found.score, most):
        words = ["your taste" if name == "user" else of_user[name].replace("_", " ") for name in named]
        return f"Because of what the model knows of you: {_listed(words)}."
    return f"Nothing that is known of you raised the score of {title}{popular() if popular else ''}."


def raised_most(found: Attribution, titles: Sequence[str | None], most: int) -> list[str]:
    """The titles of the events that raised the score most, by the rule of :func:`because`."""
    sums: dict[str, float] = {}
    for name, value in zip(titles, found.events.tolist(), strict=True):
        if name is not None:
            sums[name] = sums.get(name, 0.0) + value
    return _largest(sums, found.score, most)


def _largest(contributions: Mapping[str, float], score: float, most: int) -> list[str]:
    ordered = sorted(contributions, key=lambda name: -contributions[name])[:most]
    raised = [name for name in ordered if contributions[name] > _NOISE * abs(score)]
    return [name for name in raised if contributions[name] >= 0.1 * contributions[raised[0]]]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
