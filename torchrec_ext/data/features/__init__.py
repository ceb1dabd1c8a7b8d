"""How a column becomes a model's input: declared, fitted on the training part, kept as JSON."""

from torchrec_ext.data.features.category import Category, FittedCategory
from torchrec_ext.data.features.kinds import KINDS, Fitted, Options, from_json, options_from, to_json
from torchrec_ext.data.features.number import FittedNumber, Number
from torchrec_ext.data.features.time import FittedAge, FittedPart, Time
from torchrec_ext.data.features.vector import FittedVector, Vector

__all__ = [
    "KINDS", "Category", "Fitted", "FittedAge", "FittedCategory", "FittedNumber", "FittedPart",
    "FittedVector", "Number", "Options", "Time", "Vector", "from_json", "options_from", "to_json",
]  # fmt: skip
