"""Plain implementations of the papers, as many would write them, to compare our modules with.

Each is built from one of our modules, with its sizes and arguments, so that both have as many parameters
except for some biases, and takes the same inputs. Only the default arguments are implemented.
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
"""Group -> name of a built-in module -> the main parts of its peer, as text, and the peer's class."""


def peer_of(group: str, name: str, ours: Any) -> tuple[str, nn.Module] | None:
    """The main parts of the peer of a module, as text, and the peer; None if there is no peer.

    Args:
        group: the group of the module.
        name: its name.
        ours: the module.
    """
    if name not in PEERS[group] or not type(ours).__module__.startswith("torchrec_ext."):
        return None
    made_of, build = PEERS[group][name]
    return made_of, build(ours)
