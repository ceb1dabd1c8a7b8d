"""Creates the environment of this project: a venv with torch, fbgemm, torchrec and the pins of lock.txt.

    python3 requirements/install.py [--backend cpu|cuda]

It resumes where an interrupted run stopped, and does nothing if the environment is ready.
It calls pip with --no-deps: torchrec's own metadata would pull the CUDA build of fbgemm.
"""

import argparse
import hashlib
import importlib.util
import os
import platform
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "lock.txt"
PYTHONS = ((3, 10), (3, 13))
MACHINES = {"cpu": ("x86_64", "aarch64"), "cuda": ("x86_64",)}
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
IMPORTS = (
    "import torch, fbgemm_gpu as fbgemm, torchrec; "
    "print('torch', torch.__version__, '| fbgemm', fbgemm.__version__, '| torchrec', torchrec.__version__, "
    "'| CUDA device' if torch.cuda.is_available() else '| no CUDA device')"
)


def refusal(backend, python, system, machine, libc="glibc", ensurepip=True):
    """One line that explains why the environment cannot be created here, or None."""
    names = ["{}.{}".format(*version) for version in (python, PYTHONS[0], PYTHONS[1])]
    if backend not in MACHINES:
        return "unknown BACKEND {!r}; expected cpu or cuda".format(backend)
    if system != "Linux":
        return "fbgemm has no build for {}; use a Linux container or WSL2".format(
            {"Darwin": "macOS"}.get(system, system)
        )
    if machine not in MACHINES[backend]:
        return "BACKEND={} has no build for {} machines, only for {}".format(
            backend, machine, " and ".join(MACHINES[backend])
        )
    if not PYTHONS[0] <= python <= PYTHONS[1]:
        return "Python {} is not supported, only {} to {}; try make setup PYTHON=python3.12".format(*names)
    if libc != "glibc":
        return "torch and fbgemm need glibc, which this Linux lacks; use a Debian or Ubuntu container"
    if not ensurepip:
        return "this Python cannot create environments; apt-get install python3-venv, or set another PYTHON="
    return None


def pins(backend):
    """Version of torch and requirement of fbgemm, from compatibility.py."""
    installed = runpy.run_path(str(ROOT / "torchrec_ext" / "compatibility.py"))["INSTALLED"]
    build = "fbgemm-gpu" if backend == "cuda" else "fbgemm-gpu-cpu"
    return installed.torch, "{}=={}".format(build, installed.fbgemm)


def fingerprint(backend):
    """A hash of everything that decides the content of the environment."""
    parts = (repr(pins(backend)).encode(), LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def call(folder, *command):
    """Runs the Python of the environment without the caller's PYTHONPATH; raises on failure."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PIP_USER")}
    subprocess.run([str(folder / "bin" / "python")] + list(command), check=True, env=kept)


def pip(folder, *arguments):
    """Runs pip install with these arguments."""
    print("  pip install", *arguments, flush=True)
    call(folder, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def install_torch(folder, backend):
    """Installs torch and fbgemm of the backend."""
    torch, fbgemm = pins(backend)
    if backend == "cuda":
        # Three equal signs refuse a +cpu build; torch installs NVIDIA's packages, the lock all others.
        pip(folder, "--constraint", str(LOCK), "torch===" + torch, fbgemm)
        return
    try:
        # A machine that cannot reach the index loses seconds, not minutes.
        patience = ("--retries", "1", "--timeout", "10")
        pip(folder, "--no-deps", *patience, "--extra-index-url", TORCH_CPU_INDEX, "torch==" + torch + "+cpu")
    except subprocess.CalledProcessError:
        print(
            "  no +cpu build of torch {} for this Python can be reached; installing the registry's build, "
            "on x86_64 a CUDA build of about 5 GB that works on a CPU too".format(torch),
            flush=True,
        )
        pip(folder, "--constraint", str(LOCK), "torch==" + torch)
    pip(folder, "--no-deps", fbgemm)


def install(folder, backend):
    """Runs all steps; the environment is marked as ready only when torch, fbgemm and torchrec import."""
    mark, wanted = folder / "ready", fingerprint(backend)
    if mark.exists():
        if mark.read_text() == wanted:
            return
        mark.unlink()
    print("setting up", folder.name, flush=True)
    if not (folder / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install_torch(folder, backend)
    pip(folder, "--no-deps", "--requirement", str(LOCK))
    pip(folder, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    call(folder, "-c", IMPORTS)
    mark.write_text(wanted)


def python_of(folder):
    """(major, minor) of the environment's Python, or None if it has none that runs."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        out = subprocess.run([str(folder / "bin" / "python"), "-c", code], check=True, stdout=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(number) for number in out.stdout.split())


def main():
    """Reads the command line; exit status 2 for a mistake that the user can correct."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cpu", help="cpu (default) or cuda")
    backend = parser.parse_args().backend
    python, libc = sys.version_info[:2], platform.libc_ver()[0]
    ensurepip = importlib.util.find_spec("ensurepip") is not None
    why_not = refusal(backend, python, platform.system(), platform.machine(), libc, ensurepip)
    if why_not:
        print(why_not, file=sys.stderr)
        return 2
    folder = ROOT / (".venv" if backend == "cpu" else ".venv-" + backend)
    if folder.exists() and python_of(folder) != python:
        print(folder.name, "has another Python or none; creating it again", flush=True)
        shutil.rmtree(str(folder))
    try:
        install(folder, backend)
    except subprocess.CalledProcessError as error:
        print(
            "setting up {} failed at: {}; correct the cause and run it again, it resumes there "
            "(make clean starts over)".format(folder.name, " ".join(error.cmd[1:])),
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again, it resumes there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
