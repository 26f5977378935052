"""Classifiers learn what can be learnt, the same way each time, and leave the global state alone."""

import pytest
import torch
from torch import nn

from tutorial_lib.book.data import load_images
from tutorial_lib.images.classifiers import initialize_, train_classifier
from tutorial_lib.images.transformations import Transformations


def network(seed=0):
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 32), nn.ReLU(), nn.Linear(32, 10)
    ).double()
    initialize_(model, generator=torch.Generator().manual_seed(seed))
    return model


def test_weights_have_he_variance_and_biases_are_zero(generator):
    model = nn.Sequential(nn.Linear(50, 400), nn.Conv2d(5, 200, 3), nn.ReLU())
    initialize_(model, generator=generator)
    # 20000 and 9000 draws: variances are known to one and 1.5 percent.
    assert abs(model[0].weight.var().item() * 50 / 2 - 1) < 0.05
    assert abs(model[1].weight.var().item() * 45 / 2 - 1) < 0.07
    assert not model[0].bias.any() and not model[1].bias.any()
    # Normal: 4.6 percent lie beyond two standard deviations, known to 0.15 percent.
    beyond = (model[0].weight.abs() > 2 * (2 / 50) ** 0.5).double().mean()
    assert abs(beyond - 0.0455) < 4 * 0.0015


def test_draws_do_not_depend_on_the_dtype_of_the_layers():
    single, double = nn.Linear(50, 4), nn.Linear(50, 4).double()
    for layer in (single, double):
        initialize_(layer, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(single.weight, double.weight.float())


def trained(model, **changes):
    data = load_images(num_train=400, num_test=100)
    settings = {"num_epochs": 12, "transformations": Transformations(), "generator": torch.Generator().manual_seed(3)}
    train_classifier(model, data.train_images, data.train_classes, **settings | changes)
    return (model(data.test_images).argmax(dim=1) == data.test_classes).double().mean().item()


def test_digits_are_learnt_and_shuffled_classes_are_not():
    assert trained(network()) > 0.75
    data, model = load_images(num_train=400, num_test=100), network()
    shuffled = data.train_classes[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    settings = {"num_epochs": 12, "transformations": Transformations(), "generator": torch.Generator().manual_seed(3)}
    train_classifier(model, data.train_images, shuffled, **settings)
    assert (model(data.test_images).argmax(dim=1) == data.test_classes).double().mean() < 0.4


def test_training_under_rotations_helps_under_rotations():
    turns, data = Transformations(max_angle=45), load_images(num_train=400, num_test=100)
    turned = turns.sample(data.test_images, generator=torch.Generator().manual_seed(0))
    accuracy = []
    for transformations in (Transformations(), turns):
        model = network()
        trained(model, num_epochs=30, transformations=transformations)
        accuracy.append((model(turned).argmax(dim=1) == data.test_classes).double().mean().item())
    assert accuracy[1] > accuracy[0] + 0.05


def test_the_same_generator_gives_the_same_network_and_nothing_global_moves():
    state = torch.get_rng_state()
    first, again = network(), network()
    torch.set_rng_state(state)
    trained(first), trained(again)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, first.parameters(), again.parameters()))


def test_one_step_is_one_step_of_adam():
    model, again, data = network(), network(), load_images(num_train=16, num_test=1)
    settings = {"num_epochs": 1, "transformations": Transformations(), "generator": torch.Generator(), "batch_size": 16}
    train_classifier(model, data.train_images, data.train_classes, **settings, learning_rate=0.01)
    loss = nn.functional.cross_entropy(again(data.train_images), data.train_classes)
    parameters = list(again.parameters())
    for gradient, parameter in zip(torch.autograd.grad(loss, parameters), parameters, strict=True):
        # The first step of Adam has the size of the rate, whatever the gradient.
        parameter.data -= 0.01 * gradient / (gradient.abs() + 1e-8)
    for mine, by_hand in zip(model.parameters(), parameters, strict=True):
        torch.testing.assert_close(mine, by_hand, rtol=0, atol=1e-4)


def test_epochs_are_adam_on_batches_of_a_new_order_each():
    model, again, data = network(), network(), load_images(num_train=40, num_test=1)
    settings = {"transformations": Transformations(), "generator": torch.Generator().manual_seed(3)}
    train_classifier(model, data.train_images, data.train_classes, num_epochs=2, batch_size=16, **settings)
    optimizer, order = torch.optim.Adam(again.parameters(), lr=2e-3), torch.Generator().manual_seed(3)
    for _ in range(2):
        shuffled = torch.randperm(40, generator=order)
        for rows in (shuffled[:16], shuffled[16:32], shuffled[32:]):
            again.zero_grad()
            nn.functional.cross_entropy(again(data.train_images[rows]), data.train_classes[rows]).backward()
            optimizer.step()
    for mine, by_hand in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(mine, by_hand)


def test_bad_input_is_refused(as_a_reader):  # noqa: ARG001
    data = load_images(num_train=20, num_test=1)
    settings = {"transformations": Transformations(), "generator": torch.Generator()}
    with pytest.raises(ValueError, match=r"^classes must have shape \(20,\), got \(19,\)$"):
        train_classifier(network(), data.train_images, data.train_classes[1:], num_epochs=1, **settings)
    with pytest.raises(ValueError, match="^images must hold at least one image, got none$"):
        train_classifier(network(), data.train_images[:0], data.train_classes[:0], num_epochs=1, **settings)
    with pytest.raises(ValueError, match="^num_epochs must be an integer >= 1, got 0$"):
        train_classifier(network(), data.train_images, data.train_classes, num_epochs=0, **settings)
    with pytest.raises(DivergedError, match="^training diverged in epoch .*: lower learning_rate$"):
        train_classifier(
            network(), data.train_images, data.train_classes, num_epochs=9, learning_rate=1e200, **settings
        )
