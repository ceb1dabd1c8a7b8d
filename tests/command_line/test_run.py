"""How a recipe ends when something is wrong."""

import errno
import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, make_dataclass
from datetime import timedelta
from tempfile import gettempdir

import pytest
import torch.distributed as dist

from torchrec_ext.command_line import run
from torchrec_ext.command_line.run import run_recipe
from torchrec_ext.errors import InputError

QUIETEN = run._quieten_libraries
GLOO = "[/pytorch/third_party/gloo/gloo/tcp/pair.cc:537] Connection closed by peer [::1]:7. Check the logs."


@dataclass(frozen=True)
class Settings:
    """Help."""

    epochs: int = 1


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Leaves no trace in this process, and waits are short."""
    monkeypatch.setattr(sys, "argv", ["recipes/train.py"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(run, "_quieten_libraries", lambda first: None)
    monkeypatch.setattr(run, "_WAIT", timedelta(seconds=0.01))
    monkeypatch.delenv("RANK", raising=False)
    yield
    assert not dist.is_initialized()


def end(error: BaseException, capsys) -> tuple[object, str]:
    """Exit status and what was said when a recipe raises this."""

    def main(settings: Settings) -> None:
        raise error

    with pytest.raises(SystemExit) as exit:
        run_recipe(main, Settings)
    return exit.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("no file x; check the path"), 2, "train.py: no file x; check the path\n"),
        (
            OSError(errno.EACCES, "Permission denied", "runs/a"),
            2,
            "train.py: runs/a: Permission denied; mend",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 2, "train.py: runs/a: No space left"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            f"train.py: --output None or {gettempdir()}: No",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 256), 2, "xxx: File name too long; mend"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp] Allocator: can't allocate memory: 8 bytes\nframe #0"
            ),
            2,
            "train.py: a setting is too large (can't allocate memory: 8 bytes); lower --dim, --global-batch-",
        ),
        (MemoryError("Unable to allocate 7 TiB for an array"), 2, "too large (Unable to allocate 7 TiB for"),
        (RuntimeError("value cannot be converted without overflow"), 2, "too large (value cannot be conv"),
        (
            TypeError("empty(): Overflow when unpacking long long\nframe #0"),
            2,
            "too large (empty(): Overflow",
        ),
        (ValueError("array is too big; `arr.size * 8` ..."), 2, "a setting is too large (array is too big; "),
        (KeyboardInterrupt(), 130, "train.py: interrupted\n"),
        (
            RuntimeError(GLOO),
            1,
            "does not answer (Connection closed by peer [::1]:7); its own output says why",
        ),
        (RuntimeError("Application timeout caused pair closure"), 1, "does not answer (Application timeout"),
        (
            dist.DistBackendError("NCCL: remote process exited"),
            1,
            "does not answer (NCCL: remote process exited)",
        ),
    ],
)
def test_one_line_and_a_status(error, status, said, capsys):
    code, err = end(error, capsys)
    assert code == status and said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bug"),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        RuntimeError("shapes differ"),
        TypeError("bug"),
    ],
)
def test_a_bug_keeps_its_traceback(error):
    def main(settings: Settings) -> None:
        raise error

    with pytest.raises(type(error)):
        run_recipe(main, Settings)


def test_main_receives_the_settings_and_those_of_the_parts(monkeypatch):
    called = []
    monkeypatch.setattr(sys, "argv", ["recipes/train.py", "--epochs", "3"])
    run_recipe(lambda *settings: called.extend(settings), Settings)
    assert called == [Settings(3)]
    Encoding = make_dataclass("Encoding", [("encoder", str, "gru")], frozen=True)
    monkeypatch.setattr(sys, "argv", ["recipes/train.py", "--encoder", "mean_pool"])
    run_recipe(lambda *settings: called.extend(settings), Encoding, {"encoder": "encoders"})
    assert called[1:] == [Encoding("mean_pool"), {"encoder": {}}]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_that_is_not_finite_is_refused_before_the_recipe_begins(number, monkeypatch, capsys):
    Rates = make_dataclass("Rates", [("rate", float, 0.5), ("many", tuple[float, ...], ())], frozen=True)
    for words in (["--rate", number], ["--many", "1", number]):
        monkeypatch.setattr(sys, "argv", ["recipes/train.py", *words])
        with pytest.raises(SystemExit):
            run_recipe(lambda settings: pytest.fail("it began"), Rates)
        assert (
            capsys.readouterr().err
            == f"train.py: {words[0][2:]} should be a finite number, received {number}\n"
        )


def test_a_number_of_a_module_that_no_machine_can_hold_is_refused(monkeypatch, capsys):
    Encoding = make_dataclass("Encoding", [("encoder", str, "gru")], frozen=True)
    monkeypatch.setattr(sys, "argv", ["recipes/train.py", "--encoder.layers", str(2**63)])
    with pytest.raises(SystemExit):
        run_recipe(lambda *settings: pytest.fail("it began"), Encoding, {"encoder": "encoders"})
    assert (
        capsys.readouterr().err
        == f"train.py: layers should be an integer of at most 64 bits, received {2**63}\n"
    )


def test_another_rank_reports_an_error_of_its_own(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert end(InputError("no file x"), capsys) == (2, "train.py, rank 1: no file x\n")
    assert end(KeyboardInterrupt(), capsys) == (130, "")
    assert end(SystemExit(2), capsys) == (2, "")


@pytest.mark.parametrize(("reported", "said"), [(True, ""), (False, "train.py, rank 1: no file x\n")])
def test_another_rank_is_silent_when_rank_0_has_reported(monkeypatch, capsys, reported, said):
    def main(settings: Settings) -> None:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        if reported:
            dist.distributed_c10d._get_default_store().set(run._REPORTED, "")
        raise InputError("no file x")

    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        run_recipe(main, Settings)
    assert capsys.readouterr().err == said


def test_the_folder_the_user_stands_in_can_be_imported_from(tmp_path, monkeypatch):
    (tmp_path / "module_of_the_user.py").write_text("VALUE = 3")
    monkeypatch.chdir(tmp_path)

    def main(settings: Settings) -> None:
        import module_of_the_user

        assert module_of_the_user.VALUE == 3

    run_recipe(main, Settings)


def test_our_messages_are_plain_and_on_rank_0_alone(capsys):
    ours = logging.getLogger("torchrec_ext")
    kept = (ours.level, list(ours.handlers), ours.propagate)
    try:
        for first, said in ((True, "read\n"), (False, "")):
            ours.handlers = []
            QUIETEN(first)
            logging.getLogger("torchrec_ext.data").info("read")
            assert capsys.readouterr().err == said
    finally:
        ours.level, ours.handlers, ours.propagate = kept


UNTIDY = """
import atexit
import os

from dataclasses import make_dataclass

from torchrec_ext.command_line import run_recipe


class Group:
    def __del__(self):
        os.abort()


def main(settings):
    atexit.register(print, "tidied up")
    print("done")


group = Group()
run_recipe(main, make_dataclass("Settings", [], frozen=True))
"""


def test_a_rank_of_several_ends_before_its_objects_are_taken_apart():
    ranks = {"RANK": "0", "WORLD_SIZE": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", UNTIDY],
        env={**os.environ, **ranks},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, "done\ntidied up\n"), ended.stderr


def test_a_full_disk_is_reported_once_by_the_main_thread(monkeypatch, capsys):
    of_tensorboard = type("Writer", (threading.Thread,), {"__module__": "tensorboard.summary.writer"})
    monkeypatch.setattr(threading, "excepthook", run._report_once)
    for thread, reported in ((of_tensorboard, False), (threading.Thread, True)):
        one = thread(target=os.listdir, args=("/nowhere",))
        one.start()
        one.join()
        assert ("Traceback" in capsys.readouterr().err) == reported
