"""Runs a recipe: quiet libraries, errors of one line, a clean exit on every rank."""

import atexit
import errno
import logging
import os
import re
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from types import ModuleType
from typing import NoReturn

from torchrec_ext.command_line.parse import Settings, parse_settings
from torchrec_ext.command_line.usable_numbers import expect_usable
from torchrec_ext.errors import InputError

_USER_ERRORS = (
    errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip
_WAIT = timedelta(seconds=10)  # for rank 0 to report; when it exits, torchrun ends the other ranks
_REPORTED = "torchrec_ext/rank 0 has reported"


def run_recipe(
    main: Callable[..., None], settings: type[Settings], parts: Mapping[str, str] | None = None
) -> None:
    """Calls ``main`` with its settings; an error that the user can mend becomes one line and exit status 2.

    Modules in the current folder can be named as ``package.module:Class``. The command line is parsed before
    torch is imported, so recipes import torch, and whatever imports it, inside their functions.

    Args:
        main: the recipe, a function of the settings and, if there are ``parts``, of theirs. Any error keeps
            its traceback, except an InputError, a path that cannot be written, a lost rank, a lack of memory.
        settings: see :func:`~torchrec_ext.command_line.parse_settings`.
        parts: likewise.
    """
    first = os.environ.get("RANK", "0") == "0"
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    chosen = None
    try:
        chosen, modules = parse_settings(settings, parts)
        expect_usable(chosen)
        expect_usable(modules)
        _quieten_libraries(first)
        if parts:
            main(chosen, modules)
        else:
            main(chosen)
    except InputError as error:
        _fail(str(error), status=2, report=first or not _rank_0_reports())
    except OSError as error:
        if error.errno not in _USER_ERRORS:
            raise
        # the system does not name the file that a full disk cuts short
        path = error.filename or f"--output {getattr(chosen, 'output', None)} or {tempfile.gettempdir()}"
        reason = error.strerror or str(error)
        _fail(
            f"{path}: {reason}; mend that, or name another path",
            status=2,
            report=first or not _rank_0_reports(),
        )
    except (RuntimeError, MemoryError, TypeError, ValueError) as error:
        if reason := _too_large(error):
            _fail(
                f"a setting is too large ({reason}); lower --dim, --global-batch-size or what you raised",
                status=2,
                report=first or not _rank_0_reports(),
            )
        if not isinstance(error, RuntimeError) or not _lost_a_rank(error):
            raise
        reason = re.sub(r"^\[\S+\] ", "", str(error)).partition(". ")[0]
        _fail(
            f"another rank has failed or does not answer ({reason}); its own output says why, and --resume "
            "continues training from the newest checkpoint",
            status=1,
        )
    except KeyboardInterrupt:
        _fail("interrupted", status=130, report=first)
    except SystemExit as end:
        if end.code and not first:
            time.sleep(_WAIT.total_seconds())  # rank 0 prints the parser's message
        raise
    finally:
        if dist := _open_group():
            dist.destroy_process_group()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _exit_at_once()


def _open_group() -> ModuleType | None:
    """torch.distributed if a process group is open; none is if nothing has imported it yet."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist and dist.is_initialized() else None


def _exit_at_once() -> NoReturn:
    """Exits with status 0 before the interpreter destroys its objects.

    Their destruction sometimes aborts a rank that has done all its work, with "terminate called without an
    active exception" and status 134, because threads of the process group still run (torch 2.13, gloo). A
    rank that fails does not need this, since it fails either way.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _fail(message: str, status: int, report: bool = True) -> NoReturn:
    """Prints what is wrong in one line, and exits."""
    rank = int(os.environ.get("RANK", "0"))
    if report:
        name = os.path.basename(sys.argv[0]) + (f", rank {rank}" if rank else "")
        print(f"{name}: {message}", file=sys.stderr, flush=True)
    if rank == 0 and (dist := _open_group()):
        with suppress(dist.DistError):  # the launcher and its store may have ended
            dist.distributed_c10d._get_default_store().set(_REPORTED, "")
    sys.exit(status)


def _rank_0_reports() -> bool:
    """Waits for rank 0 to report an error of its own; returns whether it did.

    Most errors occur on every rank. If another rank exited first, torchrun would end rank 0 before it has
    cleaned up and reported, so the other ranks wait. A rank whose error is its own, such as a file that is
    missing on its machine, must report it itself.
    """
    dist = _open_group()
    if not dist:
        time.sleep(_WAIT.total_seconds())
        return False
    try:
        dist.distributed_c10d._get_default_store().wait([_REPORTED], _WAIT)
    except dist.DistStoreError:  # timed out
        return False
    except dist.DistNetworkError:  # rank 0 has exited, and with it the store
        return True
    return True


def _too_large(error: Exception) -> str:
    """What torch or NumPy cannot allocate or represent, or nothing; torch has no class of error for it."""
    first_line = str(error).partition("\n")[0]
    words = r"(can't|Unable to) allocate.*|.*overflow.*|(CUDA )?out of memory.*|array is too big.*"
    found = re.search(words, first_line, re.IGNORECASE)
    return found[0].rstrip(". ") if found else ""


def _lost_a_rank(error: RuntimeError) -> bool:
    """Whether the error comes from a collective call; errors of gloo have no class of their own."""
    import torch.distributed as dist

    words = str(error)
    of_gloo = ("gloo" in words and "enforce fail" not in words) or "pair closure" in words
    return isinstance(error, dist.DistError) or of_gloo


def _quieten_libraries(first: bool) -> None:
    """Shows our own messages on rank 0, and only errors of the libraries below."""
    import torch  # noqa: F401  # it resets its loggers when it is imported

    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    ours = logging.getLogger("torchrec_ext")
    ours.setLevel(logging.INFO if first else logging.ERROR)
    ours.addHandler(logging.StreamHandler())
    ours.propagate = False  # a library below may have set a format on the root logger
    for name in ("torchrec", "torch.fx", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|torchrec|torchmetrics|fbgemm_gpu)\b")
    if not first:
        warnings.simplefilter("ignore")
    threading.excepthook = _report_once


def _report_once(error: threading.ExceptHookArgs) -> None:
    """Leaves an error of TensorBoard's thread, such as a full disk, to the main thread, which raises it."""
    if not type(error.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(error)
