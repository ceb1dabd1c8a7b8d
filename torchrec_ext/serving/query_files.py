"""query.pt2, query.aoti.pt2 and query.onnx: the query tower of a bundle for runtimes without this package."""

import importlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.errors import InputError
from torchrec_ext.schema import Schema
from torchrec_ext.serving.local_model import LocalRetriever
from torchrec_ext.serving.query_program import BATCH, EVENTS, ProgramInput, QueryProgram, describe_program

PT2, AOTI, ONNX = "query.pt2", "query.aoti.pt2", "query.onnx"
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class QueryFiles:
    """The programs of a query tower, which :meth:`save` writes.

    ``torch.export`` writes JSON and raw weights, and would pickle the example inputs, which are left out.
    Nevertheless ``torch.export.load`` unpickles whatever an archive declares as pickled: load only archives
    that you exported. :func:`~torchrec_ext.serving.open_bundle` compares their checksum and loads none.

    Args:
        program: the query tower.
        exported: the program as ``torch.export`` traced it.
        onnx: the same as an ``ONNXProgram``, or None.
        torch_export: whether ``query.pt2`` is written.
        compiled: the content of ``query.aoti.pt2``, or None.
        dim: D, width of the queries.
    """

    program: QueryProgram
    exported: torch.export.ExportedProgram
    onnx: Any
    torch_export: bool
    compiled: bytes | None
    dim: int

    @property
    def description(self) -> dict[str, Any]:
        """What the manifest of the bundle says of them."""
        written = {PT2: self.torch_export, AOTI: self.compiled is not None, ONNX: self.onnx is not None}
        files = [name for name, there in written.items() if there]
        return {"files": files, "torch": torch.__version__, **describe_program(self.program, self.dim)}

    def save(self, folder: Path) -> None:
        """Writes the files; large weights of ``query.onnx`` stand beside it in ``query.onnx.data``.

        Raises:
            InputError: if onnxruntime computes other queries.
        """
        if self.torch_export:
            torch.export.save(self.exported, folder / PT2)
        if self.compiled is not None:
            (folder / AOTI).write_bytes(self.compiled)
        if self.onnx is not None:
            self.onnx.save(folder / ONNX)
            _check(self.program, _onnx_session(folder / ONNX), "onnxruntime")


def make_query_files(
    module: nn.Module, schema: Schema, dim: int, *, torch_export: bool, onnx: bool, aot_inductor: bool = False
) -> QueryFiles | None:
    """Exports the query tower of a retriever, and compares it with the tower.

    Args:
        module: a local retriever, in evaluation mode.
        schema: of its data.
        dim: D, width of the queries.
        torch_export: for ``query.pt2``.
        onnx: for ``query.onnx``.
        aot_inductor: for ``query.aoti.pt2``.

    Returns:
        None if none is asked for.

    Raises:
        InputError: if the model is a ranker, the encoder cannot be exported, or a package is missing.
    """
    wanted = "torch_export" if torch_export else "onnx" if onnx else "aot_inductor" if aot_inductor else None
    if wanted is None:
        return None
    if not isinstance(module, LocalRetriever):
        raise InputError(f"{wanted} exports the query tower of a retriever, but the model is a ranker")
    if onnx:
        _expect_onnx()
    program = QueryProgram(module, schema).eval()
    with _one_line("torch.export", program):
        exported = _exported(program)
    _check(program, exported.module(), "torch.export")
    made = compiled = None
    if onnx:
        with _one_line("torch.onnx", program):
            made = _to_onnx(exported, program)
    if aot_inductor:
        with _one_line("AOTInductor", program):
            compiled, run = _compiled(exported, program)
        _check(program, run, "AOTInductor")
    return QueryFiles(program, exported, made, torch_export, compiled, dim)


def _exported(program: QueryProgram) -> torch.export.ExportedProgram:
    """The program with dynamic axes and without example inputs, which would be pickled."""
    names = sorted({axis for one in program.inputs for axis in one.shape if isinstance(axis, str)})
    axes: dict[str, Any] = {name: torch.export.Dim(f"axis_{n}", min=1) for n, name in enumerate(names)}
    if EVENTS in axes:  # a size of 1 cannot be dynamic
        longest = program.max_events
        axes[EVENTS] = None if longest == 1 else torch.export.Dim(EVENTS, min=1, max=longest)
    shapes = tuple(
        {n: axes[axis] for n, axis in enumerate(one.shape) if isinstance(axis, str)} for one in program.inputs
    )
    with torch.no_grad():
        made = torch.export.export(program, _example(program, 3, 4), dynamic_shapes={"tensors": shapes})
    made.example_inputs = None
    return made


def _compiled(
    exported: torch.export.ExportedProgram, program: QueryProgram
) -> tuple[bytes, Callable[..., Tensor]]:
    """The package of a program as machine code, and the same as a function; it needs a C++ compiler."""
    package = io.BytesIO()
    exported.example_inputs = (_example(program, 3, 4), {})
    try:
        torch._inductor.aoti_compile_and_package(exported, package_path=package)
    finally:
        exported.example_inputs = None
    package.seek(0)
    return package.getvalue(), torch._inductor.aoti_load_package(package)


def _to_onnx(exported: torch.export.ExportedProgram, program: QueryProgram) -> Any:
    # torch 2.13 cannot convert a remainder whose divisor is a dynamic size.
    simpler = exported.run_decompositions({torch.ops.aten.remainder.Scalar: _remainder})
    names = [one.name for one in program.inputs]
    return torch.onnx.export(simpler, dynamo=True, input_names=names, output_names=["queries"], verbose=False)


def _remainder(values: Tensor, divisor: int) -> Tensor:
    return values - torch.div(values, divisor, rounding_mode="floor") * divisor


def _onnx_session(path: Path) -> Callable[..., Tensor]:
    """The file as a function of tensors."""
    session = importlib.import_module("onnxruntime").InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    names = [one.name for one in session.get_inputs()]

    def run(*tensors: Tensor) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return run


def _check(program: QueryProgram, run: Callable[..., Tensor], name: str) -> None:
    """Refuses an exported program whose queries differ, for sizes other than those it was traced with."""
    for batch, events in ((1, 1), (5, 100)):
        tensors = _example(program, batch, events)
        with torch.no_grad():
            wanted, found = program(*tensors), run(*tensors)
        if found.shape != wanted.shape or not torch.allclose(found, wanted, rtol=1e-4, atol=_TOLERANCE):
            raise InputError(
                f"{name} computes other queries than the model ({_encoder(program)}) for {batch} users with "
                f"{events} events; export the bundle without it"
            )


def _example(program: QueryProgram, batch: int, events: int) -> tuple[Tensor, ...]:
    """Random arguments for so many users with so many events."""
    generator = torch.Generator().manual_seed(0)
    sizes = {BATCH: batch, EVENTS: min(events, program.max_events)}

    def draw(one: ProgramInput) -> Tensor:
        shape = [sizes.get(axis, 2) if isinstance(axis, str) else axis for axis in one.shape]
        if one.dtype == torch.int64:
            longest = sizes[EVENTS] if one.name == "history.lengths" else 2
            return torch.randint(0, one.rows or longest + 1, shape, generator=generator)
        numbers = torch.rand(shape, dtype=one.dtype, generator=generator)
        return 1e9 + 1e6 * numbers.cumsum(-1) if one.name == "history.times" else numbers

    return tuple(map(draw, program.inputs))


def _expect_onnx() -> None:
    missing = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"onnx needs {', '.join(missing)}, which is not installed; run pip install 'torchrec-ext[onnx]'"
        )


def _encoder(program: QueryProgram) -> str:
    return "no encoder" if program.encoder is None else type(program.encoder).__name__


@contextmanager
def _one_line(tool: str, program: QueryProgram) -> Iterator[None]:
    """Mutes the exporters, and turns their pages of explanation into the first cause."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # the exporters raise whatever an operator raises
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().partition("\n")[0][:200]
        raise InputError(
            f"{tool} cannot export the query tower with {_encoder(program)} "
            f"({type(cause).__name__}: {reason}); export the bundle without it"
        ) from error
    finally:
        logger.setLevel(level)
