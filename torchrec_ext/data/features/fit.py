"""Fit: a column becomes one feature or several, whatever was declared."""

from torchrec_ext.data.features.category import Category, fit_category
from torchrec_ext.data.features.fitted import Fitted
from torchrec_ext.data.features.missing import Values
from torchrec_ext.data.features.number import Number, fit_number
from torchrec_ext.data.features.options import Options
from torchrec_ext.data.features.time import Time, fit_time
from torchrec_ext.data.features.vector import fit_vector
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError


def fit(
    name: str,
    values: Values,
    options: Options,
    *,
    now: float | None = None,
    vocabulary: Vocabulary | None = None,
) -> dict[str, Fitted]:
    """The features of a column by name: one, or of times one for each part and the age.

    Args:
        name: of the feature; ``_hour``, ``_age`` and so on follow it where the column gives several.
        values: n values of the training part alone.
        options: what to make of them.
        now: unix seconds that ages count back from; the latest of the values if left out.
        vocabulary: of a category, to take instead of that of the values.

    Raises:
        InputError: if the values are not what the options are for.

    Example:
        >>> list(fit("price", [1.0, 5.0], Number()))
        ['price']
        >>> list(fit("seen", [0, 86_400], Time(age=True)))
        ['seen_hour', 'seen_weekday', 'seen_age']
    """
    try:
        if isinstance(options, Number):
            return {name: fit_number(values, options)}
        if isinstance(options, Category):
            return {name: fit_category(values, options, vocabulary)}
        if isinstance(options, Time):
            return {f"{name}_{part}": fitted for part, fitted in fit_time(values, options, now).items()}
        return {name: fit_vector(values, options)}
    except InputError as error:
        raise InputError(f"feature {name}: {error}") from None
