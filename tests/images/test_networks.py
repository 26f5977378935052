"""The four small classifiers are what they say, measurable, and drawn without a trace."""

import pytest
import torch

from tutorial_lib import classifier_report
from tutorial_lib.images.networks import NETWORKS, new_network


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=4):
    return torch.rand(count, 1, 28, 28, generator=stream(5), dtype=torch.float64)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_in_eval_mode_and_float64_and_can_be_measured(kind):
    network = new_network(kind, generator=stream())
    assert not any(part.training for part in network.modules())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}
    report = classifier_report(network, images(), radius=0.1)
    assert (report.dim, report.output_dim, report.num_inputs) == (784, 10, 4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_generators_seed_decides_the_weights_and_nothing_global_moves(kind):
    state = torch.random.get_rng_state()
    first, again, other = (new_network(kind, generator=stream(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


@pytest.mark.parametrize(
    ("kind", "count"), [("MLP", 50_890), ("CNN", 10_050), ("ResNet", 17_530), ("transformer", 19_530)]
)
def test_the_number_of_parameters_worked_out_by_hand(kind, count):
    assert sum(p.numel() for p in new_network(kind, generator=stream()).parameters()) == count


def test_a_residual_block_adds_to_its_input():
    block = new_network("ResNet", generator=stream())[2]
    x = torch.rand(2, 16, 7, 7, generator=stream(3), dtype=torch.float64)
    torch.testing.assert_close(block(x), torch.relu(x + block.branch(x)))
    torch.nn.init.zeros_(block.branch[-1].weight)
    torch.testing.assert_close(block(x), x)


def test_the_transformer_knows_where_a_patch_is():
    network = new_network("transformer", generator=stream())
    x = images(1)
    moved = x.roll(7, dims=-1)  # the same patches in other places
    assert (network(x) - network(moved)).abs().max() > 1e-6
    network.places.data.zero_()
    torch.testing.assert_close(network(x), network(moved))


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="^kind must be one of CNN, MLP, ResNet, transformer, got 'RNN'$"):
        new_network("RNN", generator=stream())
