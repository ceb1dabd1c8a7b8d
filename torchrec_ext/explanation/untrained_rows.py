"""untrained_rows(): rows of the tables that training has not learnt from."""

import pandas as pd

from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def untrained_rows(model: TrainedModel) -> pd.DataFrame:
    """How many users and items have a row that training has not learnt from.

    The model reads the unknown row in place of such a row, and those items are recommended only with
    ``catalogue="all"``.

    Args:
        model: trained by fit, opened by load, or of a bundle.

    Returns:
        Columns ``table``, ``rows`` (without the unknown row), ``untrained``, ``share`` and ``examples``, at
        most three ids.

    Example:
        >>> import torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdaabce")})
        >>> train, _, _ = tx.data.leave_last_out(tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4)
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> untrained_rows(trained)[["table", "rows", "untrained", "examples"]].values.tolist()
        [['user', 3, 0, []], ['item', 5, 2, ['d', 'e']]]
    """
    expect_trained(model)
    rows, trained = [], model.preparation.trained
    for table, known in (("user", trained.users), ("item", trained.items)):
        missing = (~known[1:]).nonzero()[0] + 1
        count = len(known) - 1
        examples = model.preparation.vocabularies[table].ids(missing[:3]).tolist()
        rows.append((table, count, len(missing), len(missing) / max(count, 1), examples))
    return pd.DataFrame(rows, columns=["table", "rows", "untrained", "share", "examples"])
