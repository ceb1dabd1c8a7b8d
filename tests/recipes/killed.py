"""Runs a recipe that kills itself just before it gives a file or folder its name for the n-th time.

Everything that recipes write appears by a rename, so that these are the moments between which a kill differs.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

renames = 0


def main() -> None:
    recipe, last, *words = sys.argv[1:]
    plain = Path.rename

    def rename(self: Path, target: Path) -> Path:
        global renames
        renames += 1
        if renames == int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, target)

    Path.rename = rename  # type: ignore[method-assign]
    script = Path(__file__).parents[2] / "recipes" / f"{recipe}.py"
    sys.argv = [str(script), *words]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
