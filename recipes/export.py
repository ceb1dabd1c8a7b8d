"""Exports a run as a bundle, a folder that is served without TorchRec.

python recipes/export.py --checkpoint runs/ml1m --output bundles/ml1m --precision int8
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torchrec_ext as tx
from torchrec_ext.command_line import read_run_data, run_recipe, split_run_data


@dataclass(frozen=True)
class Settings:
    """Exports a run in one process, whatever its sharding and number of ranks were.

    The bundle is compared with the model in float32 on the validation part of the run, and holds the figures.
    """

    checkpoint: str
    """Folder of the run, whose best checkpoint is used, or of one of its checkpoints."""
    output: str
    """Folder of the bundle, which is made."""
    precision: Literal["float32", "float16", "bfloat16", "int8"] = "float32"
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
    index: Literal["exact", "hnsw", "ivf"] = "exact"
    """Put an index into the bundle, which finds nearly the best of many items: a graph (hnsw) or clusters
    (ivf) of FAISS. Its recall is printed. A graph of a million items takes minutes."""
    ef_search: int | None = None
    """Candidates that a query visits in a graph; more are slower and find more."""
    probes: int | None = None
    """Clusters that a query visits; more are slower and find more."""
    build_threads: int = 1
    """Threads that build the index; with several a graph may differ from build to build."""
    overwrite: bool = False
    """Replace the bundle at --output."""
    torch_export: bool = False
    """Add query.pt2: the query tower of a retriever as a program of torch.export, for other runtimes."""
    onnx: bool = False
    """Add query.onnx: the same for ONNX runtimes. Needs the extra onnx."""
    aot_inductor: bool = False
    """Add query.aoti.pt2: the same as machine code, for the runtime of torch in C++. Needs a C++ compiler."""


def main(settings: Settings) -> None:
    """Opens the run and writes the bundle."""
    tx.training.find_checkpoint(settings.checkpoint)  # what can be refused comes before the data is read
    index = None
    if settings.index != "exact":
        index = tx.serving.FaissIndex(
            settings.index, ef_search=settings.ef_search, probes=settings.probes,
            build_threads=settings.build_threads,
        )  # fmt: skip
    where = settings.checkpoint, settings.data, settings.data_dir
    events = read_run_data(*where) if settings.histories else None
    known = targets = None
    if settings.measure:
        (known, targets, _), _ = split_run_data(*where, with_added=False)
    trained = tx.training.load(settings.checkpoint)
    output = Path(settings.output)
    manifest = tx.serving.export(
        trained, output, events=events, precision=settings.precision, known=known, targets=targets,
        max_loss=settings.max_loss, index=index, overwrite=settings.overwrite,
        torch_export=settings.torch_export, onnx=settings.onnx, aot_inductor=settings.aot_inductor,
    ).manifest  # fmt: skip
    print(describe(manifest))
    print(f"written to {output}")


def describe(manifest: Mapping[str, Any]) -> str:
    """The figures of a bundle in a few lines."""
    figures, precision = manifest["figures"], manifest["precision"]
    share = figures["table_bytes"] / figures["table_bytes_float32"]
    lines = [f"tables in {precision}: {figures['table_bytes']:,} bytes, {share:.1%} of float32"]
    if "measure" in figures:
        name, milliseconds = figures["measure"], figures["milliseconds"]
        lines.append(f"{name} {figures['bundle']:.4f}, in float32 {figures['float32']:.4f}")
        lines.append(f"{figures['overlap']:.1%} of the items of the lists are those of float32")
        lines.append(f"a query takes {milliseconds['p50']:.1f} ms (p99 {milliseconds['p99']:.1f} ms)")
    if "index" in manifest:
        recall = ", ".join(f"{name} {value:.3f}" for name, value in manifest["index"]["recall"].items())
        lines.append(f"the index ({manifest['index']['settings']['kind']}) has {recall}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_recipe(main, Settings)
