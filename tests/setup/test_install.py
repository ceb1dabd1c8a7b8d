"""The installer, with pip and venv played by a fake."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup.project import ROOT
from torchrec_ext.compatibility import INSTALLED

SCRIPT = ROOT / "requirements" / "install.py"


@pytest.fixture
def installer(tmp_path, monkeypatch):
    """The script as a module that believes in a copy of the project's set-up files."""
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for file in ("requirements/lock.txt", "pyproject.toml", "torchrec_ext/compatibility.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOCK", tmp_path / "requirements" / "lock.txt")
    monkeypatch.setattr(sys, "argv", ["install.py"])
    return module


class Runner:
    """Plays subprocess.run: writes the commands down, in short, and fails the one that holds ``failing``."""

    def __init__(self):
        self.commands: list[str] = []
        self.failing: str | None = None

    def __call__(self, command, **options):
        text = " ".join(command[1:]).removeprefix("-m pip install --quiet --disable-pip-version-check ")
        if "sys.version_info" in text:
            answer = "{} {}".format(*sys.version_info[:2]).encode()
            return subprocess.CompletedProcess(command, 0, stdout=answer)
        self.commands.append(text)
        if self.failing and self.failing in text:
            raise subprocess.CalledProcessError(1, command)
        if "-m venv" in text:
            (Path(command[-1]) / "bin").mkdir(parents=True)
            (Path(command[-1]) / "bin" / "pip").touch()
        return subprocess.CompletedProcess(command, 0)


@pytest.fixture
def runner(installer, monkeypatch):
    runner = Runner()
    monkeypatch.setattr(installer.subprocess, "run", runner)
    return runner


@pytest.mark.parametrize(
    ("backend", "python", "system", "machine", "line"),
    [
        ("tpu", (3, 11), "Linux", "x86_64", "unknown BACKEND 'tpu'; expected cpu or cuda"),
        (
            *("cpu", (3, 11), "Darwin", "arm64"),
            "fbgemm has no build for macOS; use a Linux container or WSL2",
        ),
        (
            *("cpu", (3, 11), "Windows", "AMD64"),
            "fbgemm has no build for Windows; use a Linux container or WSL2",
        ),
        (
            *("cpu", (3, 11), "Linux", "riscv64"),
            "BACKEND=cpu has no build for riscv64 machines, only for x86_64 and aarch64",
        ),
        (
            *("cuda", (3, 11), "Linux", "aarch64"),
            "BACKEND=cuda has no build for aarch64 machines, only for x86_64",
        ),
        (
            *("cpu", (3, 9), "Linux", "x86_64"),
            "Python 3.9 is not supported, only 3.10 to 3.13; try make setup PYTHON=python3.12",
        ),
        (
            *("cpu", (3, 14), "Linux", "x86_64"),
            "Python 3.14 is not supported, only 3.10 to 3.13; try make setup PYTHON=python3.12",
        ),
    ],
)
def test_refuses_in_one_line(installer, backend, python, system, machine, line):
    assert installer.refusal(backend, python, system, machine) == line


def test_refuses_without_glibc_and_without_ensurepip(installer):
    here = ("cpu", (3, 12), "Linux", "x86_64")
    assert "Debian or Ubuntu container" in installer.refusal(*here, libc="")
    assert "apt-get install python3-venv" in installer.refusal(*here, ensurepip=False)


@pytest.mark.parametrize("python", [(3, 10), (3, 11), (3, 12), (3, 13)])
@pytest.mark.parametrize(("backend", "machine"), [("cpu", "x86_64"), ("cpu", "aarch64"), ("cuda", "x86_64")])
def test_accepts(installer, python, backend, machine):
    assert installer.refusal(backend, python, "Linux", machine) is None


def test_refusal_exits_with_2_and_makes_nothing(installer, monkeypatch, capsys):
    monkeypatch.setattr(installer.platform, "system", lambda: "Darwin")
    assert installer.main() == 2
    out = capsys.readouterr()
    assert out.err == "fbgemm has no build for macOS; use a Linux container or WSL2\n"
    assert out.out == ""
    assert not (installer.ROOT / ".venv").exists()


def test_make_refuses_an_unknown_backend_with_2():
    done = subprocess.run(
        ["make", "-s", "setup", "BACKEND=tpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "unknown BACKEND 'tpu'; expected cpu or cuda"


def test_steps_on_a_cpu(installer, runner):
    assert installer.main() == 0
    lock, index = installer.LOCK, installer.TORCH_CPU_INDEX
    assert runner.commands[1:] == [
        f"--no-deps --retries 1 --timeout 10 --extra-index-url {index} torch=={INSTALLED.torch}+cpu",
        f"--no-deps fbgemm-gpu-cpu=={INSTALLED.fbgemm}",
        f"--no-deps --requirement {lock}",
        f"--no-deps --no-build-isolation --editable {installer.ROOT}",
        f"-c {installer.IMPORTS}",
    ]
    assert runner.commands[0].startswith("-m venv")


def test_steps_on_cuda(installer, runner, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["install.py", "--backend", "cuda"])
    monkeypatch.setattr(installer.platform, "machine", lambda: "x86_64")
    assert installer.main() == 0
    assert runner.commands[0].endswith(".venv-cuda")
    assert runner.commands[1] == (
        f"--constraint {installer.LOCK} torch==={INSTALLED.torch} fbgemm-gpu=={INSTALLED.fbgemm}"
    )
    assert runner.commands[2] == f"--no-deps --requirement {installer.LOCK}"


def test_without_a_cpu_build_it_takes_the_registrys_and_says_so(installer, runner, capsys):
    runner.failing = "+cpu"
    assert installer.main() == 0
    assert f"--constraint {installer.LOCK} torch=={INSTALLED.torch}" in runner.commands
    assert "about 5 GB" in capsys.readouterr().out


@pytest.mark.parametrize("step", ["fbgemm-gpu-cpu", "--requirement", "--editable", "import torch"])
def test_interrupted_set_up_goes_on_and_is_ready_only_at_the_end(installer, runner, step, capsys):
    runner.failing = step
    assert installer.main() == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (installer.ROOT / ".venv" / "ready").exists()

    runner.failing = None
    runner.commands.clear()
    assert installer.main() == 0
    assert not any("-m venv" in command for command in runner.commands), "the environment is kept"
    assert runner.commands[-1] == f"-c {installer.IMPORTS}"
    assert (installer.ROOT / ".venv" / "ready").exists()


def test_ready_environment_is_left_alone(installer, runner):
    installer.main()
    runner.commands.clear()
    assert installer.main() == 0
    assert runner.commands == []


@pytest.mark.parametrize("file", ["requirements/lock.txt", "pyproject.toml"])
def test_changed_lock_or_project_installs_again(installer, runner, file):
    installer.main()
    runner.commands.clear()
    with open(installer.ROOT / file, "a") as opened:
        opened.write("# changed\n")
    runner.failing = "--requirement"
    assert installer.main() == 1
    assert not (installer.ROOT / ".venv" / "ready").exists(), "an old mark must not outlive the change"
    runner.failing = None
    assert installer.main() == 0
    assert f"--no-deps --requirement {installer.LOCK}" in runner.commands


def test_another_python_makes_the_environment_anew(installer, runner, monkeypatch, capsys):
    installer.main()
    (installer.ROOT / ".venv" / "left over").touch()
    runner.commands.clear()
    monkeypatch.setattr(installer, "python_of", lambda folder: (3, 9))
    assert installer.main() == 0
    assert runner.commands[0].startswith("-m venv")
    assert not (installer.ROOT / ".venv" / "left over").exists()
    assert "another Python" in capsys.readouterr().out
