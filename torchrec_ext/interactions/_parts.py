"""Parts of an interaction that consists of several."""

from collections.abc import Sequence

from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


def names_of(parts: Sequence[object]) -> tuple[str | None, ...]:
    """The name of each part, None for one that was not given by name; InputError if there is none."""
    if isinstance(parts, (str, Interaction)):
        raise InputError(f"parts should be several interactions, received {parts!r} alone")
    if not len(parts):
        raise InputError("parts is empty; name at least one interaction")
    return tuple(part if isinstance(part, str) else None for part in parts)
