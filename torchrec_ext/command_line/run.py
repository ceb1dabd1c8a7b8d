"""Runs a recipe: quiet libraries, one-line errors, an orderly end."""

import atexit
import errno
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

from torchrec_ext.errors import InputError

_MENDABLE = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)
_WAIT = timedelta(seconds=10)  # for rank 0 to speak; torchrun ends the others when it has ended
_SPOKEN = "torchrec_ext/rank 0 has spoken"


def run_recipe(main: Callable[[], None]) -> None:
    """Calls ``main`` and turns a mistake the user can mend into one line and exit status 2.

    Modules of the folder the user stands in can be named as ``package.module:Class``.

    Args:
        main: the recipe; anything but an InputError, a path that cannot be written and a lost rank keeps
            its traceback.
    """
    first = os.environ.get("RANK", "0") == "0"
    _quieten(first)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        main()
    except InputError as error:
        _fail(str(error), status=2, speak=first or not _first_speaks())
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        message = f"{error.filename}: {error.strerror}; mend that, or name another path"
        _fail(message, status=2, speak=first or not _first_speaks())
    except RuntimeError as error:
        if not _lost_a_rank(error):
            raise
        reason = re.sub(r"^\[\S+\] ", "", str(error)).partition(". ")[0]
        _fail(
            f"another rank has ended or answers no more ({reason}); its own output says why, and --resume "
            "goes on with training from the newest checkpoint",
            status=1,
        )
    except KeyboardInterrupt:
        _fail("interrupted", status=130, speak=first)
    except SystemExit as end:
        if end.code and not first:
            time.sleep(_WAIT.total_seconds())  # the parser speaks on rank 0
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _leave()


def _leave() -> NoReturn:
    """Ends this process with status 0, before the interpreter takes its objects apart.

    That now and then aborts a rank that has done all its work, with "terminate called without an active
    exception" and status 134: it destroys a group whose threads still run (torch 2.13, gloo). A rank that
    fails needs none of this, since it fails either way.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _fail(message: str, status: int, speak: bool = True) -> NoReturn:
    """Says what is wrong in one line, and exits."""
    rank = int(os.environ.get("RANK", "0"))
    if speak:
        name = os.path.basename(sys.argv[0]) + (f", rank {rank}" if rank else "")
        print(f"{name}: {message}", file=sys.stderr, flush=True)
    if rank == 0 and dist.is_initialized():
        with suppress(dist.DistError):  # the launcher, and its store with it, may have gone
            _get_default_store().set(_SPOKEN, "")
    sys.exit(status)


def _first_speaks() -> bool:
    """Whether rank 0 has found a mistake too, waiting for it to say so.

    Most mistakes are found on every rank. If another one ended first, torchrun would end rank 0 before
    it has tidied up and spoken, so the others wait; one that is alone with its mistake, as with a file
    that is missing on its machine, must speak for itself.
    """
    if not dist.is_initialized():
        time.sleep(_WAIT.total_seconds())
        return False
    try:
        _get_default_store().wait([_SPOKEN], _WAIT)
    except dist.DistStoreError:  # the time is over
        return False
    except dist.DistNetworkError:  # rank 0 has ended already, and the store it kept with it
        return True
    return True


def _lost_a_rank(error: RuntimeError) -> bool:
    """Whether the error comes from a collective call; gloo's have no class of their own."""
    words = str(error)
    of_gloo = ("gloo" in words and "enforce fail" not in words) or "pair closure" in words
    return isinstance(error, dist.DistError) or of_gloo


def _quieten(first: bool) -> None:
    """Our own messages on rank 0; of the libraries below, errors alone."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    ours = logging.getLogger("torchrec_ext")
    ours.setLevel(logging.INFO if first else logging.ERROR)
    ours.addHandler(logging.StreamHandler())
    ours.propagate = False  # a library below may have given the root a format of its own
    for name in ("torchrec", "torch.fx", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|torchrec|torchmetrics|fbgemm_gpu)\b")
    if not first:
        warnings.simplefilter("ignore")
