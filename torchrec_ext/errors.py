"""InputError, the exception for mistakes that a user can correct, and a hint at the intended name."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """An input of the user is wrong: a file, a setting, a name or a shape.

    The message is one line that names the input, shows the received value, and explains what was expected
    and what to do. Recipes print it without a traceback and exit with 2; any other exception is a bug and
    keeps its traceback.
    """


class NothingToLearn(InputError):
    """Events hold no example that a model could learn from; later ones may."""


def nearest(word: object, choices: Iterable[str], after: str = ",") -> str:
    """A hint at the choice nearest to a wrong word, for the end of a message; empty if none is near.

    Args:
        word: what was received.
        choices: the possible words.
        after: punctuation before the hint.

    Example:
        >>> nearest("prise", ["price", "brand"]), nearest("colour", ["price"])
        (", did you mean 'price'?", '')
    """
    close = difflib.get_close_matches(str(word), list(choices), n=1, cutoff=0.5)
    return f"{after} did you mean {close[0]!r}?" if close else ""
