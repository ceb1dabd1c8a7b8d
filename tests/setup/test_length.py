"""No file is so long that it holds two concepts."""

import pytest

from tests.setup.project import ROOT, sources

LONGEST = {"torchrec_ext": 300, "benchmarks": 300, "recipes": 200}


@pytest.mark.parametrize("folder", LONGEST)
def test_no_file_is_too_long(folder):
    lines = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources(folder)}
    long = {path: count for path, count in lines.items() if count > LONGEST[folder]}
    assert not long, f"over {LONGEST[folder]} lines, so two concepts: {long}"
