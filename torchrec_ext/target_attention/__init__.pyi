from torchrec_ext.target_attention.bst import BST as BST
from torchrec_ext.target_attention.dien import DIEN as DIEN
from torchrec_ext.target_attention.din import DIN as DIN
from torchrec_ext.target_attention.sim import SIM as SIM
