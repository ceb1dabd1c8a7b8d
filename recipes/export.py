"""Exports a run as a bundle, a folder that is served without TorchRec.

python recipes/export.py --checkpoint runs/ml1m --output bundles/ml1m --precision int8
"""

from dataclasses import dataclass
from pathlib import Path

import torchrec_ext as tx
from torchrec_ext.command_line import parse_settings, read_run_data, run_recipe, split_run_data
from torchrec_ext.serving.row_table import Precision


@dataclass(frozen=True)
class Settings:
    """Exports a run in one process, whatever its sharding and number of ranks were.

    The bundle is compared with the model in float32 on the validation part of the run, and holds the figures.
    """

    checkpoint: str
    """Folder of the run, whose best checkpoint is used, or of one of its checkpoints."""
    output: str
    """Folder of the bundle, which is made."""
    precision: Precision = "float32"
    """Of the tables; int8 has a scale a row."""
    max_loss: float = 0.01
    """The largest share of NDCG@10 or AUC that the precision may cost."""
    measure: bool = True
    """Compare the bundle with the model on the validation part; the data of the run is read again for it."""
    histories: bool = True
    """Put the events known now into the bundle, which a service needs for histories and seen items."""
    data: str | None = None
    """File of the data of the run. By default where it was at the training."""
    data_dir: str | None = None
    """Folder where the data is now. By default where it was at the training."""
    overwrite: bool = False
    """Replace the bundle at --output."""
    torch_export: bool = False
    """Add query.pt2: the query tower of a retriever as a program of torch.export, for other runtimes."""
    onnx: bool = False
    """Add query.onnx: the same for ONNX runtimes. Needs the extra onnx."""


def main() -> None:
    """Opens the run and writes the bundle."""
    settings, _ = parse_settings(Settings)
    tx.training.find_checkpoint(settings.checkpoint)  # before the data is read
    where = settings.checkpoint, settings.data, settings.data_dir
    events = read_run_data(*where) if settings.histories else None
    known = targets = None
    if settings.measure:
        (known, targets, _), _ = split_run_data(*where, with_added=False)
    trained = tx.training.load(settings.checkpoint)
    output = Path(settings.output)
    figures = tx.serving.export(
        trained, output, events=events, precision=settings.precision, known=known, targets=targets,
        max_loss=settings.max_loss, overwrite=settings.overwrite,
        torch_export=settings.torch_export, onnx=settings.onnx,
    ).manifest["figures"]  # fmt: skip
    print(describe(figures, settings.precision))
    print(f"written to {output}")


def describe(figures: dict, precision: str) -> str:
    """The figures of a bundle in a few lines."""
    share = figures["table_bytes"] / figures["table_bytes_float32"]
    lines = [f"tables in {precision}: {figures['table_bytes']:,} bytes, {share:.1%} of float32"]
    if "measure" in figures:
        name, milliseconds = figures["measure"], figures["milliseconds"]
        lines.append(f"{name} {figures['bundle']:.4f}, in float32 {figures['float32']:.4f}")
        lines.append(f"{figures['overlap']:.1%} of the items of the lists are those of float32")
        lines.append(f"a query takes {milliseconds['p50']:.1f} ms (p99 {milliseconds['p99']:.1f} ms)")
    return "\n".join(lines)


if __name__ == "__main__":
    run_recipe(main)
