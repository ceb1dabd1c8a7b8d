"""The weights that a model's attention gives to the events."""

from typing import Any

from torchrec_ext.contracts import WeighsEvents
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.attribution import Attribution
from torchrec_ext.explanation.pair import Pair


def attention(pair: Pair) -> Attribution:
    """The weight of each event, as the model computes it; not in the unit of the score.

    Weights need not be reasons: "Attention is not Explanation" (Jain and Wallace 2019). Test them first.

    Args:
        pair: of a ``Ranker`` whose target attention, or a ``TwoTower`` whose encoder, shows its weights.

    Raises:
        InputError: if the model has no such weights.
    """
    parts = dict(pair.module.named_modules())
    reader = parts.get("arch.attention", parts.get("towers.query_tower.encoder"))
    if not isinstance(reader, WeighsEvents):
        what = type(pair.module if reader is None else reader).__name__
        raise InputError(
            "attention needs a module with event_weights, such as DIN, SIM, NARM or AttentionPool, but the "
            f"model has a {what}; use leave_one_out"
        )
    read: list[Any] = []
    hook = reader.register_forward_pre_hook(lambda _, inputs: read.append(inputs))  # type: ignore[attr-defined]
    try:
        score = float(pair.scores(pair.batch()))
    finally:
        hook.remove()
    weights = reader.event_weights(*read[0])[0, : len(pair.events)]
    return Attribution(score, weights.double().cpu().numpy())
