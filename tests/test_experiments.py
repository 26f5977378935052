"""The sweeps: exact and sampled agree, schemes are paired, and no draw depends on what else is asked."""

from math import isclose, sqrt

import pytest
import torch

from tutorial_lib.exact import initial_perturbation_stability
from tutorial_lib.experiments import exact_by_width, exact_stability, random_networks, sampled_stability
from tutorial_lib.initializations import lecun
from tutorial_lib.stability import perturbation_stability


def inputs(generator):
    return 1.3 * torch.randn(5, 6, generator=generator, dtype=torch.float64)


def test_a_scheme_is_its_standard_deviations():
    sizes = {"input_dim": 6, "width": 9, "depth": 4, "output_dim": 3}
    expected = initial_perturbation_stability(lecun(input_dim=6, width=9), **sizes)
    assert exact_stability("lecun", **sizes) == expected
    values = exact_by_width("lecun", [3, 9, 70], input_dim=6, depth=4, output_dim=3)
    assert values == [exact_stability("lecun", **(sizes | {"width": width})) for width in (3, 9, 70)]
    assert len(set(values)) == 3


@pytest.mark.parametrize("output_dim", [1, 3])
@pytest.mark.parametrize("scheme", ["lecun", "he", "ntk"])
def test_sampled_and_exact_agree(scheme, output_dim, generator):
    sizes = {"width": 9, "depth": 4, "output_dim": output_dim}
    sampled = sampled_stability(scheme, inputs(generator), **sizes, num_networks=4000)
    exact = exact_stability(scheme, input_dim=6, **sizes)
    assert sampled.num_draws == 4000
    assert 4 * sampled.standard_error < 0.06 * exact  # the smallest relative error that it catches
    assert abs(sampled.errors_from(exact)) < 4


def test_schemes_are_paired(generator):
    x, sizes = inputs(generator), {"width": 9, "depth": 4, "num_networks": 7, "seed": 3}
    means = {scheme: sampled_stability(scheme, x, **sizes).mean for scheme in ("lecun", "he", "ntk")}
    assert isclose(means["ntk"] / means["he"], sqrt(6 / 2), rel_tol=1e-12)
    assert isclose(means["he"] / means["lecun"], sqrt(2) ** 4, rel_tol=1e-12)


def test_networks_depend_on_the_seed_and_on_every_size_and_on_nothing_else():
    sizes = {"input_dim": 6, "width": 9, "depth": 4, "output_dim": 2, "num_networks": 3, "seed": 3}
    first = random_networks("he", **sizes).weights[0]
    random_networks("he", **(sizes | {"width": 64}))
    torch.manual_seed(5)
    assert torch.equal(random_networks("he", **sizes).weights[0], first)
    assert first.shape == (3, 9, 6)
    for other in ({"seed": 4}, {"depth": 3}, {"output_dim": 1}):
        assert not torch.equal(random_networks("he", **(sizes | other)).weights[0], first)
    narrow = random_networks("he", **(sizes | {"width": 8})).weights[0]
    assert not torch.equal(narrow, first[:, :8])


def test_the_sampled_value_is_that_of_these_networks_in_the_dtype_of_the_inputs(generator):
    x = inputs(generator)
    networks = random_networks("ntk", input_dim=6, width=9, depth=4, num_networks=7)
    expected = perturbation_stability(networks, x)
    assert sampled_stability("ntk", x, width=9, depth=4, num_networks=7) == expected
    rounded = sampled_stability("ntk", x.float(), width=9, depth=4, num_networks=7)
    assert rounded != expected
    assert isclose(rounded.mean, expected.mean, rel_tol=1e-5)


def test_an_unknown_scheme_is_refused_with_the_known_ones(generator):
    message = "^scheme must be one of he, lecun, ntk, got 'xavier'$"
    with pytest.raises(ValueError, match=message):
        exact_stability("xavier", input_dim=6, width=9, depth=4)
    with pytest.raises(ValueError, match=message):
        random_networks("xavier", input_dim=6, width=9, depth=4, num_networks=3)
    with pytest.raises(ValueError, match=message):
        sampled_stability("xavier", inputs(generator), width=9, depth=4, num_networks=3)
