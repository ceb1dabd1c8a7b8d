from torchrec_ext.checks.arguments import expect_at_least as expect_at_least
from torchrec_ext.checks.arguments import expect_dropout as expect_dropout
from torchrec_ext.checks.arguments import expect_one_of as expect_one_of
from torchrec_ext.checks.arguments import expect_whole as expect_whole
from torchrec_ext.checks.tensors import expect_shape as expect_shape
from torchrec_ext.checks.tensors import run_on_zeros as run_on_zeros
