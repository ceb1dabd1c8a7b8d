"""``python -m torchrec_ext list``: the modules of this package and of other installed packages."""

import os
import sys

import tyro

from torchrec_ext.command_line.list_modules import list_modules
from torchrec_ext.errors import InputError


def main() -> None:
    """Runs the sub-command; a mistake of the user is one line and exit status 2.

    Modules of the working directory can be found by other packages' entry points.
    """
    app = tyro.extras.SubcommandApp()
    app.command(name="list")(list_modules)
    sys.argv[0] = "torchrec_ext"  # the name in messages
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        app.cli(prog="python -m torchrec_ext", config=(tyro.conf.FlagCreatePairsOff,))
    except (InputError, OSError) as error:
        print(f"torchrec_ext: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
