"""The machine and the versions that a benchmark was measured with."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def describe(device: torch.device) -> dict[str, Any]:
    """The hardware and system that the numbers were measured on."""
    cpu = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads_per_process": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def versions(*more: str) -> dict[str, str]:
    """Versions of Python, torch, torchrec and fbgemm, and of the packages in ``more``."""
    found = {"python": platform.python_version()}
    for package in ("torch", "torchrec", "fbgemm-gpu", "fbgemm-gpu-cpu", *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def summary() -> str:
    """The CPU, its cores and how busy it is."""
    facts = describe(torch.device("cpu"))
    return f"{facts['cpu']}, {facts['cores']} cores, load {os.getloadavg()[0]:.1f}"
