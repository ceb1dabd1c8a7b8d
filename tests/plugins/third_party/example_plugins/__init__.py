"""An interaction and an encoder that torchrec_ext knows nothing of."""
