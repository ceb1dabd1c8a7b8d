"""Locks the folder of a run, so that two processes never write into it at once."""

import errno
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from torchrec_ext.errors import InputError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Holds the lock of a run's folder, a file beside it, which the system frees when the process dies.

    A file system without locks gets a warning.

    Args:
        run: the folder, which need not exist, unlike the folder that it is in.

    Raises:
        InputError: if another process holds the lock, with its number and its machine.

    Example:
        >>> import tempfile
        >>> with locked(Path(tempfile.mkdtemp(), "run")):
        ...     pass
    """
    path = beside(run, "lock")
    while True:
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read() or "another process"
                raise InputError(
                    f"output {run} is in use by {holder}; wait until that ends, or name another"
                ) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                warnings.warn(
                    f"the file system of {run} has no locks ({error.strerror}); start no second run in it",
                    stacklevel=2,
                )
            if not _is_at(path, file):
                continue  # its last holder has removed it since it was opened
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def beside(run: Path, what: str) -> Path:
    """The path of a hidden file or folder beside a run's, ``.<run>.<what>``.

    Example:
        >>> beside(Path("/runs/a"), "lock").as_posix()
        '/runs/.a.lock'
    """
    real = run.resolve()
    return real.parent / f".{real.name}.{what}"
