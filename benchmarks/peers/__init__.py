"""Plain implementations of the modules' papers, as many would write them: what ours are measured by.

Each is built from one of our modules, with its sizes and arguments, so that both have as many parameters
but for a bias here and there, and takes the same inputs. Only what a module's defaults need is there.
"""

from typing import Any

from torch import nn

from peers import encoders, heads, interactions, losses, scorers, target_attention

PEERS = {
    "interactions": interactions.PEERS,
    "encoders": encoders.PEERS,
    "target_attention": target_attention.PEERS,
    "scorers": scorers.PEERS,
    "heads": heads.PEERS,
    "losses": losses.PEERS,
}
"""Group -> name of a built-in module -> what its peer is made of, in a word, and the peer's class."""


def peer_of(group: str, name: str, ours: Any) -> tuple[str, nn.Module] | None:
    """What the peer of one of our modules is made of, and the peer; None where there is none.

    Args:
        group: the group of the module.
        name: its name.
        ours: the module.
    """
    if name not in PEERS[group] or not type(ours).__module__.startswith("torchrec_ext."):
        return None
    made_of, build = PEERS[group][name]
    return made_of, build(ours)
