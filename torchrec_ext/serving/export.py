"""export(): a trained model as a bundle, in a precision whose cost is measured."""

from pathlib import Path
from typing import Any

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.distributed.process_group import world
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained
from torchrec_ext.serving.bundle import MANIFEST, Bundle, build_model, open_bundle, write_bundle
from torchrec_ext.serving.compare import compare
from torchrec_ext.serving.faiss_index import FaissIndex
from torchrec_ext.serving.local_model import describe_model
from torchrec_ext.serving.query_files import make_query_files
from torchrec_ext.serving.row_table import PRECISIONS, Precision, RowTable
from torchrec_ext.serving.stored_index import empty_index, fill
from torchrec_ext.serving.whole_weights import WholeWeights, whole_weights


def export(
    trained: TrainedModel,
    folder: str | Path,
    *,
    events: Events | None = None,
    precision: Precision = "float32",
    known: Dataset | None = None,
    targets: Dataset | None = None,
    max_loss: float = 0.01,
    index: FaissIndex | None = None,
    overwrite: bool = False,
    torch_export: bool = False,
    onnx: bool = False,
    aot_inductor: bool = False,
) -> Bundle:
    """Writes a bundle: a folder that is served without TorchRec, see :func:`open_bundle`.

    With ``known`` and ``targets`` the bundle is compared with the model in float32 on them, and holds the
    figures: NDCG@10 or AUC of both, the share of each top-10 list that is the same, the size of the tables,
    and the time of a query.

    Args:
        trained: a ``TwoTower`` or a ``Ranker``, in one process.
        folder: of the bundle, which is not there yet.
        events: every event known now, which the bundle brings to a service: histories, seen items, and the
            columns of the items; None for none.
        precision: of the tables: ``float32``, ``float16``, ``bfloat16``, or ``int8`` with a scale a row. The
            other weights stay float32.
        known: the events known before the targets, such as the training part; None measures nothing.
        targets: the events to predict, such as the validation part.
        max_loss: the largest share of NDCG@10 or AUC that the precision may cost.
        index: such as ``FaissIndex("hnsw")``: one with these settings is built from the item vectors of the
            bundle, and a service opens it in seconds. Its recall is measured on queries of users of
            ``events``, and stands in the manifest. None for exact search.
        overwrite: replaces a bundle that is there.
        torch_export: adds ``query.pt2``, the query tower of a retriever with its lookups for any runtime of
            ``torch.export``. ``query_program`` of the manifest names its inputs.
        onnx: adds ``query.onnx``, the same for runtimes of ONNX. It needs the extra ``onnx``.
        aot_inductor: adds ``query.aoti.pt2``, the same as machine code for this kind of processor, for
            ``torch._inductor.aoti_load_package`` and its runtime in C++. It needs a C++ compiler.

    Returns:
        The bundle, as :func:`open_bundle` opens it.

    Raises:
        InputError: if the model has parts that JSON cannot describe or no vectors to index, there are several
            processes, the folder is there, the precision costs more than ``max_loss``, or the query tower
            cannot be exported; the folder is then not written.

    Example:
        >>> import tempfile, pandas as pd, torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, valid, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4, encoder="gru")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> place = Path(tempfile.mkdtemp(), "bundle")
        >>> bundle = export(trained, place, precision="float16")
        >>> tx.retrieval.recommend(bundle.model, events, [2], k=1, exclude_seen=False)["rank"].tolist()
        [1]
    """
    expect_trained(trained)
    expect_one_of("precision", precision, PRECISIONS)
    folder = Path(folder).expanduser()
    if folder.exists() and not (overwrite and (folder / MANIFEST).is_file()):
        raise InputError(f"{folder} is there already; name another folder, or overwrite a bundle")
    if world()[1] > 1:
        raise InputError("export runs in one process, received several; use recipes/export.py on a run")
    if (known is None) != (targets is None):
        raise InputError("known and targets belong together; give both, or neither to measure nothing")
    description = describe_model(trained.module)
    arguments = description["arguments"]
    weights = whole_weights(trained.module, arguments["dim"], arguments.get("tasks", 1))
    exact = _local(trained, description, weights, "float32")
    bundle = exact if precision == "float32" else _local(trained, description, weights, precision)
    schema, dim = trained.preparation.schema, arguments["dim"]
    query = make_query_files(
        bundle.module, schema, dim, torch_export=torch_export, onnx=onnx, aot_inductor=aot_inductor
    )
    empty = None if index is None else empty_index(index, bundle, events)
    figures: dict[str, Any] = {
        "table_bytes": _table_bytes(bundle),
        "table_bytes_float32": _table_bytes(exact),
    }
    if known is not None and targets is not None:
        figures |= compare(exact, bundle, known, targets)
        if figures["loss"] > max_loss:
            raise InputError(
                f"{precision} costs {figures['loss']:.2%} of {figures['measure']} on {targets.name}, more "
                f"than max_loss={max_loss:g}; take another precision, or allow more"
            )
    manifest = {
        "model": description,
        "precision": precision,
        "settings": {name: trained.settings[name] for name in ("positive",) if name in trained.settings},
        "origin": {
            "run": None if trained.run is None else trained.run.name,
            "checkpoint": None if trained.checkpoint is None else trained.checkpoint.name,
            "epochs": trained.epochs,
        },
        "position": trained.settings.get("data", {}).get("feedback", {}).get("position", 0),
        "figures": figures,
    }
    if query is not None:
        manifest["query_program"] = query.description
    stored = None if empty is None else fill(empty, bundle)
    if stored is not None:
        manifest["index"] = stored.description
    further = [part.save for part in (query, stored) if part is not None]
    write_bundle(folder, bundle, events, manifest, further)
    return open_bundle(folder)


def _local(
    trained: TrainedModel, description: dict[str, Any], weights: WholeWeights, precision: Precision
) -> TrainedModel:
    """The model with whole tables in a precision."""
    state = dict(weights.dense)
    for prefix, tables in (("embeddings", weights.tables), ("id_weights", weights.first_order)):
        for name, rows in tables.items():
            table = RowTable.of(rows, precision)
            state |= {f"{prefix}.tables.{name}.{part}": value for part, value in table.state_dict().items()}
    model = build_model(description, trained.preparation, state)
    return TrainedModel(model.eval(), trained.preparation, settings=trained.settings)


def _table_bytes(model: TrainedModel) -> int:
    return sum(part.bytes for part in model.module.modules() if isinstance(part, RowTable))
