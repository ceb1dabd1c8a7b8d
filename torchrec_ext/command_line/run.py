"""Runs a recipe: quiet libraries, one-line errors, an orderly end."""

import logging
import os
import sys
import warnings
from collections.abc import Callable

import torch.distributed as dist

from torchrec_ext.errors import InputError


def run_recipe(main: Callable[[], None]) -> None:
    """Calls ``main`` and turns a mistake the user can mend into one line and exit status 2.

    Args:
        main: the recipe; anything but an InputError keeps its traceback.
    """
    first = os.environ.get("RANK", "0") == "0"
    _quieten(first)
    try:
        main()
    except InputError as error:
        if first:
            print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _quieten(first: bool) -> None:
    """Our own messages on rank 0; of the libraries below, errors alone."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("torchrec_ext").setLevel(logging.INFO if first else logging.ERROR)
    for name in ("torchrec", "torch.fx", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|torchrec|torchmetrics|fbgemm_gpu)\b")
    if not first:
        warnings.simplefilter("ignore")
