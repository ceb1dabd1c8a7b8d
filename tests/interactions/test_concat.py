import torch

from torchrec_ext.interactions import ConcatInteraction


def test_fields_follow_each_other():
    interaction = ConcatInteraction(num_fields=3, dim=2)
    fields = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0], [9.0, 10.0], [11.0, 12.0]]])
    assert interaction.out_dim == 6
    assert interaction(fields).tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
