"""Training: fit() and load(), their settings, checkpoints and the folder of a run."""

from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.training.checkpoint import find_checkpoint, load_weights, save_checkpoint
from torchrec_ext.training.curves import draw_curves
from torchrec_ext.training.data_record import data_record
from torchrec_ext.training.fit import fit
from torchrec_ext.training.load import load
from torchrec_ext.training.run_folder import open_run, write_json
from torchrec_ext.training.settings import Checkpoints, EarlyStopping, Optimization

__all__ = [
    "Checkpoints",
    "EarlyStopping",
    "Optimization",
    "TrainedModel",
    "data_record",
    "draw_curves",
    "find_checkpoint",
    "fit",
    "load",
    "load_weights",
    "open_run",
    "save_checkpoint",
    "write_json",
]
