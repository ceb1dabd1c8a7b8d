"""Releases of torch, fbgemm and torchrec that work together, and a check of the installed ones.

The only place with version numbers; the installer and the tests read it. It does not import torch.
"""

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple


class Triple(NamedTuple):
    """Releases that were installed together and worked.

    Args:
        torch: release of torch.
        fbgemm: release of fbgemm-gpu (CUDA) and of fbgemm-gpu-cpu.
        torchrec: releases of torchrec, oldest first.
    """

    torch: str
    fbgemm: str
    torchrec: tuple[str, ...]


INSTALLED = Triple("2.13.0", "1.8.0", ("1.8.0",))
"""What ``make setup`` installs."""

GOOD = (
    Triple("2.12.0", "1.7.0", ("1.7.0", "1.8.0")),
    Triple("2.13.0", "1.8.0", ("1.5.1", "1.6.1", "1.7.0", "1.8.0", "1.9.0", "1.9.2")),
    Triple("2.14.0", "1.9.0", ("1.8.0", "1.9.2")),
)
"""Every triple that was tried and works. torchrec is lenient, fbgemm is not: 1.N needs torch 2.(N+5)."""

BUILDS = ("fbgemm-gpu-cpu", "fbgemm-gpu")
"""The two distributions of the one import package ``fbgemm_gpu``."""

TORCHREC_NEEDS = ("pyre-extensions", "tensordict", "torchmetrics==1.0.3")
"""The packages that ``pip install --no-deps torchrec`` leaves out, besides fbgemm."""

KERNEL_MULTIPLE = 4
"""The fused kernels of fbgemm 1.8 refuse a table whose width is not a multiple of this, on a CPU too."""


def check() -> None:
    """Checks that torch, fbgemm and torchrec are installed and work together, from their metadata alone.

    A package that can be imported but has no metadata under its usual name (a nightly, a build from
    source) is not checked.

    Raises:
        ImportError: one line that names the missing or incompatible package, and releases that work.

    Example:
        >>> check()
    """
    torch, torchrec = _version("torch"), _version("torchrec")
    builds = {build: found for build in BUILDS if (found := _version(build))}
    if not torch and not find_spec("torch"):
        raise ImportError(
            "torchrec_ext needs torch, fbgemm and torchrec, and torch is not installed; on a CPU: "
            "pip install 'torchrec-ext[cpu]' && pip install --no-deps "
            f"torchrec=={INSTALLED.torchrec[-1]}; on CUDA: pip install 'torchrec-ext[cuda]'"
        )
    good = _good(torch, torchrec)
    build = next(iter(builds), "fbgemm-gpu-cpu")
    command = f"pip install --no-deps {build}=={good.fbgemm} torchrec=={good.torchrec[-1]}"
    if not builds and not find_spec("fbgemm_gpu"):
        raise ImportError(
            f"torchrec_ext needs fbgemm, which is not installed; {_works(good, build)}; on a CPU: {command}; "
            "on CUDA name fbgemm-gpu in it"
        )
    if not torchrec and not find_spec("torchrec"):
        raise ImportError(
            f"torchrec_ext needs torchrec, which is not installed; {_works(good, build)}; "
            f"pip install {' '.join(TORCHREC_NEEDS)} && {command}"
        )
    if len(builds) == 2:
        raise ImportError(
            "fbgemm-gpu and fbgemm-gpu-cpu are both installed and overwrite each other's files (as after a "
            "'pip install torchrec' without --no-deps); remove both, pip uninstall -y fbgemm-gpu "
            f"fbgemm-gpu-cpu, then on a CPU: {command}; on CUDA name fbgemm-gpu in it"
        )
    if torch and builds and not _fit(torch, builds[build]):
        raise ImportError(
            f"torch {torch}, {build} {builds[build]} and torchrec {torchrec} do not work together: fbgemm "
            f"1.N belongs to torch 2.(N+5); {_works(good, build)}"
            + (f"; {command}" if _fit(torch, good.fbgemm) else "")
        )


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _numbers(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _fit(torch: str, fbgemm: str) -> bool:
    (torch_major, torch_minor), (fbgemm_major, fbgemm_minor) = _numbers(torch), _numbers(fbgemm)
    return (torch_major, fbgemm_major) == (2, 1) and torch_minor == fbgemm_minor + 5


def _good(torch: str | None, torchrec: str | None) -> Triple:
    """The triple that needs the fewest changes: of this torch and this torchrec if there is one."""
    fallback = next(t for t in GOOD if t.torch == INSTALLED.torch)
    row = next((t for t in GOOD if torch and _fit(torch, t.fbgemm)), fallback)
    for wanted in (torchrec, *INSTALLED.torchrec):
        if wanted in row.torchrec:
            return row._replace(torchrec=(wanted,))
    return row


def _works(triple: Triple, build: str) -> str:
    return f"what works: torch {triple.torch}, {build} {triple.fbgemm}, torchrec {triple.torchrec[-1]}"
