"""Classifiers learn what can be learnt, the same way each time, and leave the global state alone."""

import pytest
import torch
from torch import nn

from tutorial_lib.book.data import load_images
from tutorial_lib.images.classifiers import initialize_, train_classifier
from tutorial_lib.images.transformations import Transformations
from tutorial_lib.training import DivergedError


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


def with_parts_of_two_modes(seed=0):
    """A network that answers otherwise in training mode: it normalizes batches and drops neurons."""
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * 36, 10)]
    model = nn.Sequential(*layers).double()
    initialize_(model, generator=torch.Generator().manual_seed(seed))
    return model


class ModesSeen(nn.Module):
    """Does nothing, and remembers in which mode."""

    def __init__(self):
        super().__init__()
        self.modes = set()

    def forward(self, x):
        if torch.is_grad_enabled():  # not when classes are counted, before training
            self.modes.add(self.training)
        return x


def short_training(model, **changes):
    data = load_images(num_train=40, num_test=1)
    settings = {"num_epochs": 2, "transformations": Transformations(), "batch_size": 16}
    settings["generator"] = torch.Generator().manual_seed(3)
    train_classifier(model, data.train_images, data.train_classes, **settings | changes)


@pytest.mark.parametrize("in_training", [[], [0, 1, 2, 3, 4, 5], [1], [0, 4]])
def test_a_model_is_trained_in_training_mode_and_gets_its_modes_back(in_training):
    model, seen = with_parts_of_two_modes().eval(), ModesSeen().eval()
    for place in in_training:
        model[place].train()
    whole = nn.Sequential(seen, model).eval() if not in_training else nn.Sequential(seen, model)
    before = [part.training for part in whole.modules()]
    statistics = model[1].running_mean.clone()
    short_training(whole)
    assert seen.modes == {True}
    assert [part.training for part in whole.modules()] == before
    assert not torch.equal(model[1].running_mean, statistics)


def test_a_model_gets_its_modes_back_if_training_fails():
    model = with_parts_of_two_modes().eval()
    model[4].train()
    before = [part.training for part in model.modules()]
    with pytest.raises(DivergedError, match="epoch"):
        short_training(model, learning_rate=1e200, num_epochs=9)
    assert [part.training for part in model.modules()] == before


def test_training_with_dropout_is_repeatable_and_leaves_the_global_state_alone():
    models = [with_parts_of_two_modes() for _ in range(3)]
    states = []
    for seed, model in enumerate(models[:2]):
        torch.manual_seed(seed)
        states.append(torch.get_rng_state())
        short_training(model)
        assert torch.equal(torch.get_rng_state(), states[-1])
    assert not torch.equal(*states)
    first, again, other = (list(model.state_dict().values()) for model in models)
    assert all(map(torch.equal, first, again))
    short_training(models[2], generator=torch.Generator().manual_seed(4))
    assert not torch.equal(other[0], first[0])


def test_dropout_drops_something_in_every_step():
    dropped, kept = with_parts_of_two_modes(), with_parts_of_two_modes()
    kept[4].p = 0.0
    short_training(dropped), short_training(kept)
    assert not torch.allclose(dropped[5].weight, kept[5].weight)


def test_training_works_under_no_grad():
    first, again = network(), network()
    short_training(first)
    with torch.no_grad():
        short_training(again)
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


@pytest.mark.parametrize("num_rows", [40, 33])  # the last batch has eight rows, or one
def test_epochs_are_adam_on_batches_of_a_new_order_each(num_rows):
    model, again, data = network(), network(), load_images(num_train=num_rows, num_test=1)
    settings = {"transformations": Transformations(), "generator": torch.Generator().manual_seed(3)}
    train_classifier(model, data.train_images, data.train_classes, num_epochs=2, batch_size=16, **settings)
    optimizer, order = torch.optim.Adam(again.parameters(), lr=2e-3), torch.Generator().manual_seed(3)
    for _ in range(2):
        shuffled = torch.randperm(num_rows, generator=order)
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
    with pytest.raises(ValueError, match=r"^images .*\(batch, channels, height, width\) .* got \(0, 1, 8, 8\)$"):
        train_classifier(network(), data.train_images[:0], data.train_classes[:0], num_epochs=1, **settings)
    with pytest.raises(ValueError, match="^num_epochs must be an integer >= 1, got 0$"):
        train_classifier(network(), data.train_images, data.train_classes, num_epochs=0, **settings)
    with pytest.raises(ValueError, match="^batch_size must be an integer >= 1, got 0$"):
        train_classifier(network(), data.train_images, data.train_classes, num_epochs=1, batch_size=0, **settings)
    with pytest.raises(ValueError, match="^images must be finite, got nan or infinity$"):
        train_classifier(network(), data.train_images * torch.nan, data.train_classes, num_epochs=1, **settings)
    with pytest.raises(TypeError, match="^generator must be a torch.Generator, .* got None$"):
        none = settings | {"generator": None}
        train_classifier(network(), data.train_images, data.train_classes, num_epochs=1, **none)
    with pytest.raises(TypeError, match="^generator must be a torch.Generator, .* got None$"):
        initialize_(network(), generator=None)
    with pytest.raises(DivergedError, match=r"^learning_rate must be smaller: training diverged in epoch \d$"):
        train_classifier(
            network(), data.train_images, data.train_classes, num_epochs=9, learning_rate=1e200, **settings
        )


@pytest.mark.parametrize(("wrong", "extremes"), [(10, "0 to 10"), (-100, "-100 to 9")])
def test_class_numbers_out_of_range_are_refused_before_a_weight_changes(wrong, extremes):
    data, model = load_images(num_train=40, num_test=1), network()
    classes, before = data.train_classes.clone(), [weight.clone() for weight in model.parameters()]
    classes[7] = wrong  # torch ignores -100, and refuses 10 when it gets there
    settings = {"transformations": Transformations(), "generator": torch.Generator(), "batch_size": 4}
    with pytest.raises(ValueError, match=f"^classes must be from 0 to 9, got {extremes}$"):
        train_classifier(model, data.train_images, classes, num_epochs=1, **settings)
    assert all(map(torch.equal, model.parameters(), before))
