"""The one exception for mistakes that a user can mend, and a hint at what was meant."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user handed in is wrong: a file, a setting, a name, a shape.

    The message is one line that names the thing, shows the value received, says what was expected
    and what to do. Recipes print it without a traceback and exit with 2; anything else is a bug and
    keeps its traceback.
    """


def nearest(word: object, choices: Iterable[str], after: str = ",") -> str:
    """A hint at the choice that was meant by a wrong word, to follow it; nothing where none is near.

    Args:
        word: what was received.
        choices: what there is.
        after: what parts the hint from the text before it.

    Example:
        >>> nearest("prise", ["price", "brand"]), nearest("colour", ["price"])
        (", did you mean 'price'?", '')
    """
    close = difflib.get_close_matches(str(word), list(choices), n=1, cutoff=0.5)
    return f"{after} did you mean {close[0]!r}?" if close else ""
