from torchrec_ext.scorers.cosine import CosineScorer as CosineScorer
from torchrec_ext.scorers.dot import DotScorer as DotScorer
from torchrec_ext.scorers.mixture_of_logits import MixtureOfLogits as MixtureOfLogits
from torchrec_ext.scorers.neumf import NeuMF as NeuMF
