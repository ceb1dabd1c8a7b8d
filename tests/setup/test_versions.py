"""Versions stand in compatibility.INSTALLED; whatever else repeats them agrees."""

import re
import runpy

import pytest
from packaging.requirements import Requirement

from tests.setup.project import ROOT, pyproject
from torchrec_ext.compatibility import GOOD, INSTALLED, TORCHREC_NEEDS

WANTED = {
    "torch": INSTALLED.torch,
    "fbgemm-gpu": INSTALLED.fbgemm,
    "fbgemm-gpu-cpu": INSTALLED.fbgemm,
    "torchrec": INSTALLED.torchrec[-1],
}
LOCK = (ROOT / "requirements" / "lock.txt").read_text()
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def locked(python: str) -> dict[str, str]:
    """Name to version of what the lock installs on Linux with this Python."""
    pins = [Requirement(line) for line in LOCK.splitlines() if line and not line.lstrip().startswith("#")]
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    chosen = [p for p in pins if p.marker is None or p.marker.evaluate(machine)]
    assert len({p.name for p in chosen}) == len(chosen), "a package is pinned twice"
    return {p.name: str(p.specifier).removeprefix("==") for p in chosen}


def test_what_is_installed_is_among_the_good_triples():
    good = next(t for t in GOOD if t.torch == INSTALLED.torch)
    assert good.fbgemm == INSTALLED.fbgemm
    assert set(INSTALLED.torchrec) <= set(good.torchrec)


def test_extras_pin_the_installed_versions():
    extras = pyproject()["project"]["optional-dependencies"]
    pinned = {
        (extra, r.name): str(r.specifier)
        for extra in ("cpu", "cuda")
        for r in map(Requirement, extras[extra])
        if r.name in WANTED
    }
    assert pinned == {
        ("cpu", "torch"): f"=={INSTALLED.torch}",
        ("cpu", "fbgemm-gpu-cpu"): f"=={INSTALLED.fbgemm}",
        ("cuda", "torch"): f"=={INSTALLED.torch}",
        ("cuda", "fbgemm-gpu"): f"=={INSTALLED.fbgemm}",
        ("cuda", "torchrec"): f"=={INSTALLED.torchrec[-1]}",
    }


def test_cpu_extra_holds_what_torchrec_needs():
    assert set(TORCHREC_NEEDS) <= set(pyproject()["project"]["optional-dependencies"]["cpu"])


def test_lock_maker_knows_the_installed_versions():
    told = {m["name"]: m for m in pyproject()["tool"]["uv"]["dependency-metadata"]}
    assert told["torch"]["version"] == INSTALLED.torch
    assert told["torchrec"]["version"] == INSTALLED.torchrec[-1]
    assert set(told["torchrec"]["requires-dist"]) == {*TORCHREC_NEEDS, "tqdm"}


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_answers_every_requirement(python):
    project, pins = pyproject()["project"], locked(python)
    assert pins["torchrec"] == INSTALLED.torchrec[-1]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["dev"] + extras["docs"] + list(TORCHREC_NEEDS)
    for requirement in map(Requirement, wanted):
        if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
            continue
        assert pins[requirement.name] in requirement.specifier, f"{requirement}; make lock"


def test_lock_leaves_torch_to_the_installer_and_names_no_place():
    for python in PYTHONS:
        for name in locked(python):
            assert not re.match(r"torch$|fbgemm|nvidia|cuda|triton", name)
    assert not re.search(r"://|file:|--hash|--index|--find-links| @ ", LOCK)


def test_pythons_agree():
    project = pyproject()["project"]
    (low, high) = runpy.run_path(str(ROOT / "requirements" / "install.py"))["PYTHONS"]
    assert [f"3.{minor}" for minor in range(low[1], high[1] + 1)] == list(PYTHONS)
    assert project["requires-python"] == f">=3.{low[1]},<3.{high[1] + 1}"
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3" in c]
    assert named == list(PYTHONS)


@pytest.mark.parametrize("file", ["docs/set-up.md", "CONTRIBUTING.md", "pyproject.toml", "Makefile"])
def test_commands_in_texts_name_the_installed_versions(file):
    if not (ROOT / file).exists():
        return
    for name, version in re.findall(
        r"\b(torch|torchrec|fbgemm-gpu(?:-cpu)?)={2,3}([\d.]*\d)", (ROOT / file).read_text()
    ):
        assert version == WANTED[name], f"{file} says {name}=={version}"


def test_set_up_table_is_the_table_of_good_triples():
    """Rows such as ``| 2.13.0 | 1.8.0 | 1.7.0, 1.8.0 |``."""
    rows = re.findall(
        r"^\| *(2\.\d+\.\d+) *\| *(1\.\d+\.\d+) *\| *([\d., ]+?) *\|$",
        (ROOT / "docs/set-up.md").read_text(),
        re.M,
    )
    table = {(torch, fbgemm, tuple(re.split(r"[, ]+", torchrec))) for torch, fbgemm, torchrec in rows}
    assert table == set(GOOD)
