"""A bundle: a trained model in a folder of JSON, Parquet and safetensors, opened without TorchRec.

The optional ``query.pt2``, ``query.aoti.pt2`` and ``query.onnx`` are of other formats; they are for other
runtimes, and this package never opens them: ``torch.export.load`` unpickles what an archive asks it to.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import torchrec_ext
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.sources.source_file import one_line, sha256_of
from torchrec_ext.errors import InputError
from torchrec_ext.import_class import names_from_outside
from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.serving.known_events import open_known, save_known
from torchrec_ext.serving.local_model import (
    LocalRanker,
    LocalRetriever,
    build_local,
    inputs_from,
    poolers_from,
)
from torchrec_ext.serving.local_tables import LocalEmbeddings, LocalFirstOrder
from torchrec_ext.serving.row_table import RowTable
from torchrec_ext.serving.stored_index import StoredIndex, read_index

FORMAT = 1
MANIFEST, WEIGHTS = "bundle.json", "weights.safetensors"
_KNOWN = "known"


class Bundle(NamedTuple):
    """What a bundle holds: the model, the events known at its export, its manifest, and its index.

    Events and index are None where there are none.
    """

    model: TrainedModel
    events: Events | None
    manifest: Mapping[str, Any]
    stored_index: StoredIndex | None = None


def open_bundle(folder: str | Path) -> Bundle:
    """Opens what :func:`~torchrec_ext.serving.export` wrote, in one process and with torch alone.

    Its model is used as the trained model itself: by ``recommend``, ``predict``, ``evaluate`` and its own
    methods. Every file is compared with its checksum first.

    Args:
        folder: of the bundle.

    Returns:
        The model, in evaluation mode on the CPU and without a history of its training, the events, the
        manifest, whose ``figures`` say what the precision costs, and the index, without item vectors.

    Raises:
        InputError: if the folder holds no bundle, one of another format, or a file that is missing, altered,
            not of the bundle or outside the folder.
    """
    folder = Path(folder).expanduser()
    manifest = read_manifest(folder)
    preparation = Preparation.load(folder / "preparation")
    weights = load_file(folder / WEIGHTS)
    try:
        with names_from_outside():
            model = build_model(manifest["model"], preparation, weights)
    except (KeyError, TypeError, AttributeError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        raise InputError(f"{folder}/{MANIFEST} describes no model ({reason}); export it again") from error
    trained = TrainedModel(model.eval(), preparation, settings=manifest["settings"])
    return Bundle(trained, open_known(folder / _KNOWN), manifest, read_index(folder, manifest))


def write_bundle(
    folder: Path,
    model: TrainedModel,
    events: Events | None,
    manifest: Mapping[str, Any],
    further: Sequence[Callable[[Path], None]] = (),
) -> None:
    """Writes a model of :func:`build_model` into a folder, which appears when it is complete.

    Args:
        folder: which does not exist, or holds a bundle, which is replaced.
        model: with whole tables.
        events: known now, for histories and seen items; or None.
        manifest: ``model``, its description, ``settings``, ``figures`` and other plain values.
        further: functions that write more files into the folder.
    """
    partial, before = (folder.with_name(f".{folder.name}.{kind}") for kind in ("partial", "before"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        save_file(
            {name: value.contiguous() for name, value in model.module.state_dict().items()}, partial / WEIGHTS
        )
        model.preparation.save(partial / "preparation")
        if events is not None:
            save_known(events, {f.column for f in model.preparation.schema.of("context")}, partial / _KNOWN)
        for save in further:
            save(partial)
        files = {
            str(path.relative_to(partial)): path for path in sorted(partial.rglob("*")) if path.is_file()
        }
        sums = {name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for name, p in files.items()}
        whole = {"format": FORMAT, "torchrec_ext": torchrec_ext.__version__, **manifest, "files": sums}
        text = json.dumps({**whole, "sha256": _sha256_of(whole)}, indent=2)
        (partial / MANIFEST).write_text(text + "\n")
        for path in files.values():  # safetensors (0.8) lets only their owner read files
            path.chmod((partial / MANIFEST).stat().st_mode)
        if folder.exists():
            shutil.rmtree(before, ignore_errors=True)  # of an export that was killed here
            folder.rename(before)
        partial.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write the bundle {folder}: {error.strerror or error}") from error
    finally:
        for other in (partial, before):
            shutil.rmtree(other, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle whose files are all there, whole, and the only ones."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} holds no bundle: there is no {MANIFEST}; make one with serving.export")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        checksum = found.pop("sha256")
        version, files = found["format"], found["files"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not the manifest of a bundle ({error}); export the model again"
        ) from error
    if version != FORMAT:
        raise InputError(f"{folder} has the format {version}, expected {FORMAT}; export the model again")
    if checksum != _sha256_of(found):
        raise InputError(f"{path} was altered after it was written; export the model again")
    inside = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()} - {MANIFEST}
    for name, file in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts or (folder / name).is_symlink():
            raise InputError(f"{path} names {name!r}, which leaves the folder; export the model again")
        if name not in inside:
            raise InputError(f"{folder / name} is missing; copy the whole bundle, or export the model again")
        if (folder / name).stat().st_size != file["bytes"] or sha256_of(folder / name) != file["sha256"]:
            raise InputError(f"{folder / name} was altered or cut short; copy the bundle again")
    if others := sorted(inside - files.keys()):
        raise InputError(f"{folder / others[0]} is not a file of the bundle; remove it")
    return found


def build_model(
    description: dict[str, Any], preparation: Preparation, weights: Mapping[str, Tensor]
) -> LocalRetriever | LocalRanker:
    """A model with its weights.

    Args:
        description: see :func:`~torchrec_ext.serving.local_model.describe_model`.
        preparation: of the model.
        weights: the state of the model, as a bundle keeps it.

    Raises:
        InputError: if the weights are not those of the described model.
    """
    schema, inputs = preparation.schema, inputs_from(description)
    first_order = _tables(weights, "id_weights.tables.")
    id_weights = LocalFirstOrder(schema, inputs, first_order) if first_order else None
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and then replaced
        tables, poolers = _tables(weights, "embeddings.tables."), poolers_from(description)
        embeddings = LocalEmbeddings(schema, inputs, tables, poolers)
        model = build_local(description, schema, embeddings, id_weights)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the weights do not fit the model of the bundle ({reason})") from error
    return model


def _tables(weights: Mapping[str, Tensor], prefix: str) -> dict[str, RowTable]:
    names = [name.removeprefix(prefix) for name in weights if name.startswith(prefix)]
    tables = [name.removesuffix(".weight") for name in names if name.endswith(".weight")]
    return {n: RowTable(weights[f"{prefix}{n}.weight"], weights.get(f"{prefix}{n}.scale")) for n in tables}


def _sha256_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
