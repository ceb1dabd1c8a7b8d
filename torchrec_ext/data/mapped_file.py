"""Files mapped into memory, whose pages can be given back."""

import mmap
from pathlib import Path


def map_file(path: Path) -> mmap.mmap:
    """A file mapped into memory to be read; Arrow's own maps cannot give pages back."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def release_pages(mapped: mmap.mmap | None) -> None:
    """Gives back the memory of what was read of a mapped file; it is read again when it is needed."""
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
