from torchrec_ext.serving.bundle import Bundle as Bundle
from torchrec_ext.serving.bundle import open_bundle as open_bundle
from torchrec_ext.serving.export import export as export
