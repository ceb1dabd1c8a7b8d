from torchrec_ext.interactions._module import ModuleInteraction as ModuleInteraction
from torchrec_ext.interactions.autoint import AutoInt as AutoInt
from torchrec_ext.interactions.bi_interaction import BiInteraction as BiInteraction
from torchrec_ext.interactions.ccpm import CCPM as CCPM
from torchrec_ext.interactions.cin import CIN as CIN
from torchrec_ext.interactions.concat import ConcatInteraction as ConcatInteraction
from torchrec_ext.interactions.convolution import ConvolutionInteraction as ConvolutionInteraction
from torchrec_ext.interactions.cross_network import CrossNetwork as CrossNetwork
from torchrec_ext.interactions.dot import DotInteraction as DotInteraction
from torchrec_ext.interactions.factorization_machine import FactorizationMachine as FactorizationMachine
from torchrec_ext.interactions.fgcnn import FGCNN as FGCNN
from torchrec_ext.interactions.fibinet import FiBiNET as FiBiNET
from torchrec_ext.interactions.final_mlp import FinalMLP as FinalMLP
from torchrec_ext.interactions.gated_cross_network import GatedCrossNetwork as GatedCrossNetwork
from torchrec_ext.interactions.masknet import MaskNet as MaskNet
from torchrec_ext.interactions.mlp import MLPInteraction as MLPInteraction
from torchrec_ext.interactions.outer_product_convolution import (
    OuterProductConvolution as OuterProductConvolution,
)
from torchrec_ext.interactions.parallel import Parallel as Parallel
from torchrec_ext.interactions.stacked import Stacked as Stacked
from torchrec_ext.interactions.wukong import Wukong as Wukong
