"""The one exception for mistakes that a user can mend."""


class InputError(ValueError):
    """Something the user handed in is wrong: a file, a setting, a name, a shape.

    The message is one line that names the thing, shows the value received, says what was expected
    and what to do. Recipes print it without a traceback and exit with 2; anything else is a bug and
    keeps its traceback.
    """
