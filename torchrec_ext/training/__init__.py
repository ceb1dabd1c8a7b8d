"""Training: the loop, its optimizers, checkpoints and what it tells."""

from torchrec_ext.training.checkpoint import find_checkpoint, load_weights, save_checkpoint
from torchrec_ext.training.curves import draw_curves
from torchrec_ext.training.load import load
from torchrec_ext.training.loop import fit
from torchrec_ext.training.run_folder import open_run, write_json

__all__ = [
    "draw_curves",
    "find_checkpoint",
    "fit",
    "load",
    "load_weights",
    "open_run",
    "save_checkpoint",
    "write_json",
]
