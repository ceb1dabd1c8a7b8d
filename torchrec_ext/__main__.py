"""``python -m torchrec_ext list``: what the package can say of itself."""

import sys

import tyro

from torchrec_ext.command_line import list_modules, run_recipe


def main() -> None:
    """Calls what the command line asks for."""
    app = tyro.extras.SubcommandApp()
    app.command(name="list")(list_modules)
    app.cli(prog="python -m torchrec_ext", config=(tyro.conf.FlagCreatePairsOff,))


if __name__ == "__main__":
    sys.argv[0] = "torchrec_ext"  # as which it tells mistakes
    run_recipe(main)
