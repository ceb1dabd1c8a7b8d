"""The tutorial network the project began from, as it was meant, and what takes its place here.

The listing stacks two embeddings to (B, 2, 50), transposes them to (B, 50, 2) and goes on with
Conv1d(2, 100, kernel_size=1), ReLU, squeeze(dim=2), Linear(100, 1) and BCE with logits.
"""

import pytest
import torch
from torch import nn

from torchrec_ext.interactions import ConvolutionInteraction
from torchrec_ext.losses import binary_cross_entropy
from torchrec_ext.metrics import BinaryReport

WIDTH, FILTERS = 50, 100


class TutorialNetwork(nn.Module):
    def __init__(self, users: int, movies: int):
        super().__init__()
        # Repair 1: both tables had 50 rows, the width, instead of one row a user and one a movie.
        self.user = nn.Embedding(users, WIDTH)
        self.movie = nn.Embedding(movies, WIDTH)
        # Repair 2: the convolution had 2 input channels, but its input is transposed to 50 of them.
        # Repair 3: its kernel of 1 left a width of 2, where the squeeze below wants 1.
        self.convolution = nn.Conv1d(WIDTH, FILTERS, kernel_size=2)
        self.output = nn.Linear(FILTERS, 1)

    # Repair 4: forward asked for the ratings too, which the loop did not pass; they belong to the loss.
    def forward(self, user_B, movie_B):
        pair_B2D = torch.stack([self.user(user_B), self.movie(movie_B)], dim=1)
        hidden_BH = torch.relu(self.convolution(pair_B2D.transpose(1, 2))).squeeze(dim=2)
        # Repair 5: the output kept a last axis of 1, which the labels do not have.
        return self.output(hidden_BH).squeeze(1)


def interested(ratings: torch.Tensor) -> torch.Tensor:
    # Repair 6: ratings of 1 to 5 were the targets of a loss that wants 0 or 1.
    return (ratings >= 4).float()


def test_the_listing_as_printed_cannot_run():
    pair_B2D = torch.rand(8, 2, WIDTH)
    with pytest.raises(RuntimeError, match="to have 2 channels, but got 50 channels"):
        nn.Conv1d(2, FILTERS, kernel_size=1)(pair_B2D.transpose(1, 2))
    hidden = nn.Conv1d(WIDTH, FILTERS, kernel_size=1)(pair_B2D.transpose(1, 2)).squeeze(dim=2)
    assert hidden.shape == (8, FILTERS, 2)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        nn.Linear(FILTERS, 1)(hidden)


def test_it_is_the_convolution_interaction_and_a_linear_layer():
    network = TutorialNetwork(users=6, movies=9)
    interaction = ConvolutionInteraction(2, WIDTH, FILTERS, kernel_size=2, channels="width")
    interaction.convolution.load_state_dict(network.convolution.state_dict())
    users, movies = torch.arange(6), torch.arange(3, 9)
    labels = interested(torch.tensor([1, 2, 3, 4, 5, 5]))

    fields_BFD = torch.stack([network.user(users), network.movie(movies)], dim=1)
    logits = network.output(interaction(fields_BFD)).squeeze(1)
    torch.testing.assert_close(logits, network(users, movies))

    expected = nn.BCEWithLogitsLoss()(network(users, movies), labels)
    received = binary_cross_entropy(logits, labels)
    torch.testing.assert_close(received, expected)
    ours = [*interaction.parameters(), network.user.weight, network.movie.weight]
    theirs = [*network.convolution.parameters(), network.user.weight, network.movie.weight]
    torch.testing.assert_close(torch.autograd.grad(received, ours), torch.autograd.grad(expected, theirs))


def test_it_learns_planted_tastes():
    # 60 users in four circles of taste rate 60 movies of four genres; a tenth of the ratings is random.
    generator = torch.Generator().manual_seed(0)
    users, movies = torch.cartesian_prod(torch.arange(60), torch.arange(60)).unbind(1)
    ratings = torch.where(users % 4 == movies % 4, 5, 2)
    noise = torch.randint(1, 6, ratings.shape, generator=generator)
    ratings = torch.where(torch.rand(ratings.shape, generator=generator) < 0.1, noise, ratings)
    order = torch.randperm(3600, generator=generator)
    train, test = order[:2880], order[2880:]

    torch.manual_seed(0)
    network = TutorialNetwork(users=60, movies=60)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(10):
        for part in train[torch.randperm(2880)].split(32):
            optimizer.zero_grad()
            binary_cross_entropy(network(users[part], movies[part]), interested(ratings[part])).backward()
            optimizer.step()
    report = BinaryReport()
    with torch.no_grad():
        report.update(network(users[test], movies[test]).sigmoid(), interested(ratings[test]))
    # No model does better than the planted taste itself, whose AUC is the oracle's.
    oracle = BinaryReport()
    oracle.update((users[test] % 4 == movies[test] % 4).float(), interested(ratings[test]))
    assert report.compute()["auc"] > 0.97 * oracle.compute()["auc"]
