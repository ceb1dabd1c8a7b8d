"""item_norms(): the lengths of the item vectors beside the popularity of the items."""

import numpy as np
import pandas as pd

from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def item_norms(model: TrainedModel, data: Events) -> pd.DataFrame:
    """The norm of each item's vector, and how many events the item has; every rank must call it.

    Under a dot product a long vector has a high score with many users. Norms that follow popularity say that
    the model has learnt it; a popular item with a short vector, or the other way round, is worth a look.

    Args:
        model: of a retriever.
        data: the events that popularity is counted in.

    Returns:
        Columns ``item``, ``title`` where the data has titles, ``events``, ``norm`` and ``trained`` (whether
        training has learnt from the item), most events first. ``attrs["rank_correlation"]`` is Spearman's of
        events and norm.

    Raises:
        InputError: if the model is a ranker.

    Example:
        >>> import torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdaabca")})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4)
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> item_norms(trained, events)[["item", "events"]].values.tolist()
        [['a', 4], ['b', 3], ['c', 3]]
    """
    expect_trained(model)
    expect_events(data)
    ids, vectors = model.item_vectors(as_tensors=True)
    rows, log = model.preparation.vocabularies["item"].rows(ids), model.preparation.log(data)
    counts = np.bincount(log.target_items(), minlength=int(rows.max()) + 1)[rows]
    frame = pd.DataFrame({
        "item": ids,
        "events": counts,
        "norm": vectors.norm(dim=1).numpy(),
        "trained": model.preparation.trained.known("item", rows),
    })  # fmt: skip
    if data.items is not None and "title" in data.items:
        titles = data.items.drop_duplicates("item").set_index("item")["title"]
        frame.insert(1, "title", titles.reindex(ids).to_numpy())
    frame = frame.sort_values("events", ascending=False, kind="stable", ignore_index=True)
    ranks = frame[["events", "norm"]].rank()  # Spearman's correlation is that of the ranks
    frame.attrs["rank_correlation"] = float(ranks["events"].corr(ranks["norm"]))
    return frame
