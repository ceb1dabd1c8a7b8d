"""What a stranger's pip gets to see."""

import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from email.parser import Parser

import pytest
from packaging.requirements import Requirement

from tests.setup.project import ROOT
from torchrec_ext import __version__

FORBIDDEN = re.compile(r"torch$|torchrec|fbgemm|torchmetrics|tensordict|nvidia|triton")


def pip(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def core(requirements: list[str]) -> list[str]:
    """Names of the requirements that hold without an extra on this Python."""
    return [
        r.name for r in map(Requirement, requirements) if r.marker is None or r.marker.evaluate({"extra": ""})
    ]


def test_wheel_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "torchrec_ext",
        f"torchrec_ext-{__version__}.dist-info",
    }
    assert {"torchrec_ext/py.typed", "torchrec_ext/serving/http/page/index.html"} <= {*names}
    assert "torchrec_ext/reporting/report.html" in names
    shipped = {n for n in names if n.startswith("torchrec_ext/") and n.endswith((".py", ".pyi"))}
    written = [path for kind in ("*.py", "*.pyi") for path in (ROOT / "torchrec_ext").rglob(kind)]
    assert shipped == {path.relative_to(ROOT).as_posix() for path in written}


def test_metadata(metadata):
    assert metadata["Name"] == "torchrec-ext"
    assert metadata["Version"] == __version__
    extras = {"cpu", "cuda", "dev", "docs", "explain", "faiss", "kafka", "onnx", "report", "serve", "umap"}
    assert set(metadata.get_all("Provides-Extra")) == extras


def test_core_requirements_never_reach_torch(metadata):
    """Neither do theirs: walked through what is installed here."""
    waiting, seen = core(metadata.get_all("Requires-Dist")), set()
    assert "numpy" in waiting
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += core(importlib.metadata.requires(name) or [])
    assert not [name for name in seen if FORBIDDEN.match(name)]


def test_installing_it_beside_torch_changes_nothing_else(wheel):
    """pip plans to install the wheel and nothing more; it needs no index for that."""
    report = pip("install", "--dry-run", "--quiet", "--no-index", "--report", "-", str(wheel))
    planned = [item["metadata"]["name"] for item in json.loads(report)["install"]]
    assert planned == ["torchrec-ext"]
