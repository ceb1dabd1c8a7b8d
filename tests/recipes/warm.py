"""A process that has imported what recipes import, and runs one after the other, each in forks of its own.

Of the eight seconds that a refused recipe takes, seven go into imports; there are many refusals to test.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from tests.recipes.launch import ROOT, Ended, user_environment


class Warm:
    """Starts recipes as ``python recipes/<recipe>.py`` would, without the imports; a context manager."""

    def __enter__(self) -> "Warm":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.recipes.warm"],
            cwd=ROOT,
            env=user_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def launch(
        self, recipe: str, *words: str | Path, folder: Path, processes: int = 1, succeeds: bool = True
    ) -> Ended:
        """Runs a recipe in ``folder``; several ranks start as from a launcher that does not watch over them.

        The status is that of rank 0, or of the first other that failed where rank 0 did not.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        request = [recipe, [str(word) for word in words], str(folder), processes]
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        statuses, out, err, when = json.loads(self.process.stdout.readline())
        ended = Ended(next((status for status in statuses if status), 0), out, err, time=when)
        assert not succeeds or ended.status == 0, "\n".join([*ended.out, *ended.err])
        return ended


def _serve() -> None:
    from torchrec_ext import command_line, data, evaluation, models, retrieval, training  # noqa: F401

    for name in command_line.__all__:
        getattr(command_line, name)  # imported here rather than in every child
    for line in sys.stdin:
        recipe, words, folder, processes = json.loads(line)
        pipes = [[os.memfd_create(f"{name}{rank}") for rank in range(processes)] for name in ("out", "err")]
        variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        variables |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
        children = []
        for rank, outputs in enumerate(zip(*pipes, strict=True)):
            children.append(os.fork())
            if not children[-1]:
                if processes > 1:
                    os.environ |= variables | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                _run(recipe, words, folder, outputs)
        statuses, when = [_status(children[0])], time.time()
        statuses += [_status(child, patience=20) for child in children[1:]]
        texts = [[_content(pipe) for pipe in part] for part in pipes]
        print(json.dumps([statuses, *texts, when]), flush=True)


def _run(recipe: str, words: list[str], folder: str, outputs: tuple[int, ...]) -> NoReturn:
    script = ROOT / "recipes" / f"{recipe}.py"
    os.chdir(folder)
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
    sys.argv = [str(script), *words]
    sys.path.insert(0, str(script.parent))  # as Python does for a script
    status = 0
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(child: int, patience: float = float("inf")) -> int:
    """The exit status of a child, which is killed if it lives on for ``patience`` seconds."""
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - began > patience:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def _content(pipe: int) -> str:
    os.lseek(pipe, 0, os.SEEK_SET)
    with open(pipe) as file:
        return file.read()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


if __name__ == "__main__":
    _serve()
