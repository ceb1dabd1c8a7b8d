from torchrec_ext.reporting.compare import compare as compare
from torchrec_ext.reporting.compare import report as report
from torchrec_ext.reporting.comparison import Comparison as Comparison
from torchrec_ext.reporting.evaluated_run import EvaluatedRun as EvaluatedRun
from torchrec_ext.reporting.reasons import Reasons as Reasons
