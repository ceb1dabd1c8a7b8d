"""The contribution of each component of a dot product."""

from typing import Any

import numpy as np

from torchrec_ext import contracts
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.attribution import Attribution
from torchrec_ext.explanation.pair import Pair


def factors(pair: Pair) -> Attribution:
    """The products of the components of query and item, which add up to the score exactly.

    Of several interests, those of the one with the best score.

    Args:
        pair: of a retriever whose scorer is a dot product or a cosine (``indexable``).

    Raises:
        InputError: if the model is another.
    """
    scorer: Any = getattr(pair.module, "scorer", None)
    if not isinstance(pair.module, contracts.Retriever) or not scorer.indexable:
        what = type(pair.module).__name__ if scorer is None else type(scorer).__name__
        raise InputError(
            f"factors needs a retriever that scores by a dot product, but the model has a {what}; use "
            "leave_one_out"
        )
    queries = scorer.index_vectors(pair.module.encode_queries(pair.batch()).float())
    products = (queries.reshape(-1, queries.shape[-1]) * scorer.index_vectors(pair.item_vector())).double()
    best = products[products.sum(1).argmax()].cpu().numpy()
    return Attribution(float(best.sum()), np.zeros(0), {}, 0.0, best)
