"""The benchmarks are scripts that stand side by side: their folder is on the path while they are tested."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
