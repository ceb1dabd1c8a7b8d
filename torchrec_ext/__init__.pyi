# The guard keeps mypy's order of modules: in a cycle with this stub it would take a function such as
# evaluation.evaluate for the module of that name.
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchrec_ext import batch as batch
    from torchrec_ext import contracts as contracts
    from torchrec_ext import data as data
    from torchrec_ext import distributed as distributed
    from torchrec_ext import embeddings as embeddings
    from torchrec_ext import encoders as encoders
    from torchrec_ext import errors as errors
    from torchrec_ext import evaluation as evaluation
    from torchrec_ext import explanation as explanation
    from torchrec_ext import heads as heads
    from torchrec_ext import interactions as interactions
    from torchrec_ext import losses as losses
    from torchrec_ext import metrics as metrics
    from torchrec_ext import models as models
    from torchrec_ext import plugins as plugins
    from torchrec_ext import reporting as reporting
    from torchrec_ext import retrieval as retrieval
    from torchrec_ext import schema as schema
    from torchrec_ext import scorers as scorers
    from torchrec_ext import serving as serving
    from torchrec_ext import target_attention as target_attention
    from torchrec_ext import testing as testing
    from torchrec_ext import training as training

__version__: str
