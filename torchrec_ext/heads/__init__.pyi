from torchrec_ext.heads.esmm import ESMMHead as ESMMHead
from torchrec_ext.heads.mmoe import MMoEHead as MMoEHead
from torchrec_ext.heads.ple import PLEHead as PLEHead
from torchrec_ext.heads.shared_bottom import SharedBottomHead as SharedBottomHead
from torchrec_ext.heads.single import SingleHead as SingleHead
