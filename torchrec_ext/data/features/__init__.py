"""How a column becomes a model's input: declared, fitted on the training part, kept as JSON."""

from torchrec_ext.data.features.age import FittedAge, fit_age
from torchrec_ext.data.features.category import Category, FittedCategory, fit_category, fit_counted
from torchrec_ext.data.features.fit import fit
from torchrec_ext.data.features.fitted import Fitted, from_json
from torchrec_ext.data.features.hashed_vocabulary import HashedVocabulary
from torchrec_ext.data.features.number import FittedNumber, Number, fit_number
from torchrec_ext.data.features.options import Options, options_from
from torchrec_ext.data.features.time import Time, fit_time
from torchrec_ext.data.features.time_part import FittedPart
from torchrec_ext.data.features.vector import FittedVector, Vector, fit_vector

__all__ = [
    "Category", "Fitted", "FittedAge", "FittedCategory", "FittedNumber", "FittedPart", "FittedVector",
    "HashedVocabulary", "Number", "Options", "Time", "Vector", "fit", "fit_age", "fit_category",
    "fit_counted", "fit_number", "fit_time", "fit_vector", "from_json", "options_from",
]  # fmt: skip
