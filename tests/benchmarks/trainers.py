"""The ways to train an ensemble that are compared. Each call takes the same number of further steps."""

import copy
from collections.abc import Callable

import torch
from contenders import modules, stacked
from torch import Tensor
from torch.func import functional_call, grad, vmap

from tutorial_lib.models import ReLUMLP
from tutorial_lib.training import train

STEPS = 30
Trainer = Callable[[], list[Tensor]]  # trains on, and returns the stacked weights


def ours(networks: ReLUMLP, x: Tensor, y: Tensor, rate: float) -> Trainer:
    """The package, one batched product for all members."""
    trained = copy.deepcopy(networks)

    def steps():
        train(trained, x, y, learning_rate=rate, num_steps=STEPS)
        return [w.detach() for w in trained.weights]

    return steps


def loop_over_modules(networks: ReLUMLP, x: Tensor, y: Tensor, rate: float) -> Trainer:
    """One module after another, with autograd and torch's SGD."""
    members = modules(networks)
    optimizers = [torch.optim.SGD(member.parameters(), lr=rate) for member in members]

    def steps():
        for member, optimizer in zip(members, optimizers, strict=True):
            for _ in range(STEPS):
                optimizer.zero_grad()
                ((member(x).squeeze(1) - y).square().mean() / 2).backward()
                optimizer.step()
        return [torch.stack([m[layer].weight.detach() for m in members]) for layer in range(0, len(members[0]), 2)]

    return steps


def vmapped_gradients(networks: ReLUMLP, x: Tensor, y: Tensor, rate: float) -> Trainer:
    """torch.func: the gradient for one module, mapped over stacked weights."""
    skeleton, weights, buffers = stacked(networks)

    def loss(parameters):
        outputs = functional_call(skeleton, (parameters, buffers), (x,))
        return (outputs.squeeze(1) - y).square().mean() / 2

    gradients = vmap(grad(loss))

    def steps():
        for _ in range(STEPS):
            slopes = gradients(weights)
            for name, weight in weights.items():
                weight.sub_(slopes[name], alpha=rate)
        return list(weights.values())

    return steps


def bare_products(networks: ReLUMLP, x: Tensor) -> None:
    """The floor: the matrix products of forward, backward and weight gradients, and nothing else."""
    weights = [w.detach() for w in networks.weights]
    for _ in range(STEPS):
        layers = [x.expand(len(weights[0]), *x.shape)]
        for weight in weights:
            layers.append(torch.bmm(layers[-1], weight.mT))
        signals = [layers.pop()]
        for weight in weights[:0:-1]:
            signals.append(torch.bmm(signals[-1], weight))
        for signal, layer in zip(reversed(signals), layers, strict=True):
            torch.bmm(signal.mT, layer)


def trainings(networks: ReLUMLP, x: Tensor, y: Tensor, rate: float) -> dict[str, Callable[[], object]]:
    """Every contender, the floor first."""
    return {
        "bare products": lambda: bare_products(networks, x),
        "ours": ours(networks, x, y, rate),
        "loop over modules, SGD": loop_over_modules(networks, x, y, rate),
        "torch.func, vmap(grad)": vmapped_gradients(networks, x, y, rate),
    }
