from torchrec_ext.embeddings.first_order import FirstOrder as FirstOrder
from torchrec_ext.embeddings.initialise import initialise_tables as initialise_tables
from torchrec_ext.embeddings.last_state import last_state as last_state
from torchrec_ext.embeddings.pad_history import pad_history as pad_history
from torchrec_ext.embeddings.spread_candidates import spread_candidates as spread_candidates
from torchrec_ext.embeddings.stack_fields import FieldProjection as FieldProjection
from torchrec_ext.embeddings.stack_fields import stack_fields as stack_fields
from torchrec_ext.embeddings.tables import Embeddings as Embeddings
