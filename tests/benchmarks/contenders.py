"""The ways to the perturbation stability that are compared: ours, and what a reader would write."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, jvp, stack_module_state, vmap

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import load
from tutorial_lib.book.experiments import random_networks
from tutorial_lib.initializations import he
from tutorial_lib.models import ReLUMLP
from tutorial_lib.perturbations import uniform_on_sphere
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability, random_direction_stability

INPUT_DIM = 64
LOOP_SAMPLES = 16  # the loop over samples is timed on so many and scaled
BLOCK_ROWS = 256


def inputs(rows: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random points on the unit sphere."""
    like = torch.empty(rows, INPUT_DIM, dtype=torch.float64)
    return uniform_on_sphere(like, generator=random_stream(0, "inputs of the benchmark")).to(dtype)


def digits(rows: int) -> Tensor:
    """Images of digits, each of length 1, in float32."""
    return load(num_train=rows, num_test=1).train_x.float()


def network(
    *, width: int, depth: int = 4, outputs: int = 1, dtype: torch.dtype = torch.float32, member: int = 0
) -> ReLUMLP:
    """One network with He weights."""
    stream = random_stream(member, f"benchmark {width} {depth} {outputs}")
    shape = Architecture(input_dim=INPUT_DIM, width=width, depth=depth, output_dim=outputs)
    return ReLUMLP(he(shape), shape, generator=stream).to(dtype)


def ensemble(*, members: int, width: int, depth: int = 4) -> ReLUMLP:
    """Many networks with He weights."""
    shape = Architecture(input_dim=INPUT_DIM, width=width, depth=depth)
    return random_networks("he", shape, num_networks=members).float()


def as_module(weights) -> nn.Sequential:
    """The same network out of the layers of torch.nn, as most readers would write it."""
    layers: list[nn.Module] = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
        with torch.no_grad():
            layer.weight.copy_(weight)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def modules(networks: ReLUMLP) -> list[nn.Sequential]:
    """The members of an ensemble as modules."""
    return [as_module([w[i] for w in networks.weights]) for i in range(networks.num_networks)]


def two_forward_passes(model: ReLUMLP, x: Tensor, rows: int | None = None) -> None:
    """The floor: the matrix products of two forward passes and nothing else."""
    weights = [w.detach() for w in model.weights]
    for block in torch.split(x, rows or len(x)):
        for _ in range(2):
            values = block
            for weight in weights:
                values = values @ weight.mT


def jvp_lengths(module: nn.Module, x: Tensor, directions: Tensor) -> Tensor:
    """||J u|| by forward-mode differentiation."""
    return jvp(module, (x,), (directions,))[1].norm(dim=1)


def jacobians_by_jacrev(module: nn.Module, x: Tensor) -> Tensor:
    """All Jacobians by torch.func's reverse mode over a batch."""
    return vmap(jacrev(module))(x)


def jacobians_by_backward(module: nn.Module, x: Tensor) -> Tensor:
    """All Jacobians, one backward pass of the batch per output."""
    x = x.detach().requires_grad_()
    columns = module(x).unbind(dim=1)
    return torch.stack([torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in columns], dim=1)


def jacobians_by_loop(module: nn.Module, x: Tensor) -> Tensor:
    """All Jacobians, one backward pass per sample and output."""
    return torch.cat([jacobians_by_backward(module, row) for row in x[:LOOP_SAMPLES].split(1)])


def estimators(model: ReLUMLP, x: Tensor) -> dict:
    """Every contender for one network; the peers get their directions drawn beforehand."""
    module = as_module(model.weights).requires_grad_(False)
    trainable = as_module(model.weights)  # autograd's own way: the weights want gradients too
    stream = random_stream(0, "directions")
    directions = uniform_on_sphere(x, generator=stream)
    return {
        "floor": lambda: two_forward_passes(model, x),
        "floor in blocks": lambda: two_forward_passes(model, x, BLOCK_ROWS),
        "ours, exact": lambda: perturbation_stability(model, x),
        "ours, one direction": lambda: random_direction_stability(model, x, generator=stream),
        "torch.func.jvp": lambda: jvp_lengths(module, x, directions),
        "vmap(jacrev)": lambda: jacobians_by_jacrev(module, x),
        "batched backward": lambda: jacobians_by_backward(trainable, x),
        "loop over samples": lambda: jacobians_by_loop(trainable, x),
    }


def stacked(networks: ReLUMLP) -> tuple[nn.Module, dict, dict]:
    """An ensemble as torch.func takes it: one module without weights, and all weights stacked."""
    members = modules(networks)
    parameters, buffers = stack_module_state(members)
    return members[0].to("meta"), {k: v.detach() for k, v in parameters.items()}, buffers


def evaluations(networks: ReLUMLP, x: Tensor) -> dict:
    """Every contender for the exact stability of an ensemble with one output."""
    members = modules(networks)
    frozen = [member.requires_grad_(False) for member in modules(networks)]
    skeleton, parameters, buffers = stacked(networks)
    singles = [as_relu_mlp(networks, index) for index in range(networks.num_networks)]
    directions = uniform_on_sphere(x, generator=random_stream(0, "directions"))

    def total(weights, rows):
        return functional_call(skeleton, (weights, buffers), (rows,)).sum()

    return {
        "ours, one product for all": lambda: perturbation_stability(networks, x),
        "ours, one network after another": lambda: perturbation_stability(singles, x),
        "loop over modules, backward": lambda: [jacobians_by_backward(member, x) for member in members],
        "loop over modules, jvp": lambda: [jvp_lengths(member, x, directions) for member in frozen],
        "stack_module_state + vmap(grad)": lambda: vmap(grad(total, argnums=1), (0, None))(parameters, x),
    }


def as_relu_mlp(networks: ReLUMLP, index: int) -> ReLUMLP:
    """One member of an ensemble as a network of its own."""
    return ReLUMLP.from_weights([w[index] for w in networks.weights])
