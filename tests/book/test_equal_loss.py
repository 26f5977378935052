"""Rows at equal loss: what one network after another gives by hand, and who is in which mean."""

from itertools import count, pairwise
from math import inf, isclose, isnan, nan

import pytest
import torch

from tutorial_lib.architecture import Architecture
from tutorial_lib.book.data import load
from tutorial_lib.book.equal_loss import OPTIMIZERS, Optimizer, flow_rows, leads, networks_at_level, optimizer_rows
from tutorial_lib.book.experiments import random_networks, reference_stds
from tutorial_lib.estimates import Estimate
from tutorial_lib.exact import mean_abs_coordinate
from tutorial_lib.gradient_flow import follow_gradient_flow
from tutorial_lib.models import ReLUMLP
from tutorial_lib.randomness import random_stream
from tutorial_lib.stability import perturbation_stability
from tutorial_lib.training import CROSS_ENTROPY, HALF_SQUARE, Loss, stable_learning_rate

ESTIMATES = ("time", "steps", "loss", "stability", "over_lead", "accuracy", "lazy_ratio")
NOTHING = Estimate(nan, nan, 0)
SIZES = {"width": 9, "depth": 3, "num_networks": 4}
PARITY, TEN = (HALF_SQUARE, (0.45, 0.2, 0.1)), (CROSS_ENTROPY, (2.25, 1.9, 1.5))
TASKS = {"parity": PARITY, "ten": TEN}
# What the names stand for: rows of a batch (0: all), part of the stable step (0: Adam).
BATCHES_AND_PARTS = {
    "half the stable step": (0, 0.5),
    "a twentieth of it": (0, 0.05),
    "batches of 32": (32, 0.1),
    "batches of 8": (8, 0.1),
    "Adam": (32, 0),
}


def data(task="parity"):
    return load(num_train=40, num_test=30, task=task)


def start(scheme, split, *, width, depth, num_networks, seed=0):
    """The networks of a row one by one, and the stable learning rate of each."""
    outputs = 1 if split.train_y.ndim == 1 else 10
    shape = Architecture(input_dim=64, width=width, depth=depth, output_dim=outputs)
    networks = random_networks(scheme, shape, num_networks=num_networks, seed=seed)
    rates = stable_learning_rate(networks, split.train_x, reference=reference_stds(scheme, shape), factor=1.0)
    singles = [ReLUMLP.from_weights([w[place] for w in networks.weights]) for place in range(num_networks)]
    return singles, rates.tolist()


def training_loss(network, split, loss):
    if loss is CROSS_ENTROPY:
        return torch.nn.functional.cross_entropy(network(split.train_x), split.train_y.argmax(dim=1)).item()
    return (network(split.train_x) - split.train_y).square().mean().item() / 2


def measured(network, initial, split, loss):
    """What a row tells of one network, without the package where a few lines do."""
    x = split.test_x.clone().requires_grad_()
    outputs = network(x)
    if outputs.ndim == 1:
        (gradients,) = torch.autograd.grad(outputs.sum(), x)
        stability = mean_abs_coordinate(64) * gradients.norm(dim=1).mean().item()
        lead = outputs.abs().mean().item()
        right = (outputs.sign() == split.test_y).double().mean().item()
    else:
        stability = perturbation_stability(network, split.test_x).mean
        ordered = outputs.sort(dim=1).values
        lead = (ordered[:, -1] - ordered[:, -2]).mean().item()
        right = (outputs.argmax(dim=1) == split.test_y.argmax(dim=1)).double().mean().item()
    moved = sum((w - w0).norm().item() for w, w0 in zip(network.weights, initial.weights, strict=True))
    length = sum(w0.norm().item() for w0 in initial.weights)
    return {
        "loss": training_loss(network, split, loss),
        "stability": stability,
        "over_lead": stability / lead,
        "accuracy": right,
        "lazy_ratio": moved / length,
    }


def require_agreement(row, networks):
    """Raise unless a row holds the means and errors of what was measured of the networks one by one."""
    assert row.num_reached == len(networks)
    for name in ESTIMATES:
        estimate, draws = getattr(row, name), [found[name] for found in networks if name in found]
        if not draws:
            assert str(estimate) == str(NOTHING)
            continue
        expected = Estimate.from_draws(draws)
        assert estimate.num_draws == len(networks)
        assert isclose(estimate.mean, expected.mean, rel_tol=1e-6), name
        assert isclose(estimate.standard_error, expected.standard_error, rel_tol=1e-4, abs_tol=1e-9) or isnan(
            expected.standard_error
        )


# How far the answer leads.


def test_leads_worked_out_by_hand():
    assert leads(torch.tensor([[1.5, -2.0], [0.0, 0.25]]), 1).tolist() == [[1.5, 2.0], [0.0, 0.25]]
    three = torch.tensor([[1.0, 4.0, 3.5], [-3.0, -1.0, -2.0], [2.0, 0.0, 2.0]])
    assert leads(three, 3).tolist() == [0.5, 1.0, 0.0]
    assert leads(three.expand(2, 3, 3), 3).tolist() == [[0.5, 1.0, 0.0]] * 2


@pytest.mark.parametrize("task", TASKS)
def test_over_lead_is_the_mean_over_networks_of_each_ones_quotient(task):
    split, (loss, levels) = data(task), TASKS[task]
    (row, *_) = flow_rows("he", split, **SIZES, levels=(9.0, *levels), loss=loss)
    quotients = []
    for network in start("he", split, **SIZES)[0]:
        answers = network(split.test_x).detach()
        first, second = (answers.abs(), 0) if task == "parity" else answers.sort(dim=1).values.T[[-1, -2]]
        quotients.append(perturbation_stability(network, split.test_x).mean / (first - second).mean().item())
    assert isclose(row.over_lead.mean, sum(quotients) / 4, rel_tol=1e-9)
    assert not isclose(row.over_lead.mean, row.stability.mean / (sum(quotients) / 4), rel_tol=1e-2)


# Along gradient flow.


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scheme", ["lecun", "ntk"])
def test_flow_rows_are_the_flow_of_one_network_after_another(scheme, task):
    split, (loss, levels) = data(task), TASKS[task]
    rows = flow_rows(scheme, split, **SIZES, levels=levels, loss=loss, seed=2)
    found = [[] for _ in levels]
    for network, stable in zip(*start(scheme, split, **SIZES, seed=2), strict=True):
        initial, passed = ReLUMLP.from_weights(network.weights), []

        def note(some, _members, passed=passed):
            passed.append(ReLUMLP.from_weights([w[0] for w in some.weights]))
            return {}

        x, y = split.train_x, split.train_y
        times = follow_gradient_flow(network, x, y, levels=levels, measure=note, loss=loss).time[0].tolist()
        for place, (time, there) in enumerate(zip(times, passed, strict=True)):
            when = {"time": time, "steps": time / (stable / 2)}
            found[place].append(measured(there, initial, split, loss) | when)
    for row, level, networks in zip(rows, levels, found, strict=True):
        assert (row.scheme, row.width, row.depth, row.method) == (scheme, 9, 3, "flow")
        assert (row.level, row.epoch, row.num_networks) == (level, 0, 4)
        require_agreement(row, networks)


@pytest.mark.parametrize("task", TASKS)
def test_the_flow_meets_its_levels(task):
    loss, levels = TASKS[task]
    for row in flow_rows("he", data(task), **SIZES, levels=levels, loss=loss):
        assert row.num_reached == 4
        assert isclose(row.loss.mean, row.level, rel_tol=0.01)
        assert row.loss.standard_error < 0.01 * row.level


def test_networks_at_a_level_are_those_of_the_rows():
    split = data()
    (row,) = flow_rows("he", split, levels=[0.2], **SIZES)
    initial, networks, times = networks_at_level("he", split, level=0.2, **SIZES)
    singles, _ = start("he", split, **SIZES)
    for place, single in enumerate(singles):
        assert all(torch.equal(w[place], own) for w, own in zip(initial.weights, single.weights, strict=True))
    ends = [ReLUMLP.from_weights([w.detach()[place] for w in networks.weights]) for place in range(4)]
    found = [measured(end, single, split, HALF_SQUARE) for end, single in zip(ends, singles, strict=True)]
    for place, time in enumerate(times.tolist()):
        found[place]["time"] = time
    for name in ("time", "loss", "stability", "accuracy", "lazy_ratio"):
        assert isclose(getattr(row, name).mean, sum(one[name] for one in found) / 4, rel_tol=1e-6), name


def test_networks_that_do_not_come_down_to_the_level_have_no_time_and_have_moved():
    initial, networks, times = networks_at_level("he", data(), level=1e-9, max_steps=3, **SIZES)
    assert torch.isnan(times).all() and len(times) == SIZES["num_networks"]
    assert all((after != before).any() for before, after in zip(initial.weights, networks.weights, strict=True))


def test_networks_that_never_arrive_are_counted_and_in_no_mean():
    split, sizes, levels = data(), {"width": 2, "depth": 4, "num_networks": 6}, (0.48, 0.3)
    first, second = flow_rows("he", split, **sizes, levels=levels, max_steps=300)
    assert first.num_networks == second.num_networks == 6
    assert 0 < second.num_reached < first.num_reached <= 6
    arrived = []
    for network in start("he", split, **sizes)[0]:
        record = follow_gradient_flow(network, split.train_x, split.train_y, levels=levels, max_steps=300)
        if record.reached[0, 1]:
            arrived.append(record.time[0, 1].item())
    assert second.num_reached == second.stability.num_draws == len(arrived)
    assert isclose(second.time.mean, sum(arrived) / len(arrived), rel_tol=1e-6)


def test_a_level_that_nobody_reaches_has_a_row_of_nothing():
    (row,) = flow_rows("he", data(), **SIZES, levels=[1e-4], max_steps=5)
    assert (row.num_networks, row.num_reached) == (4, 0)
    assert {str(getattr(row, name)) for name in ESTIMATES} == {str(NOTHING)}
    (row,) = optimizer_rows("he", data(), **SIZES, levels=[1e-4], method="Adam", max_epochs=1)
    assert (row.num_networks, row.num_reached) == (4, 0)
    assert {str(getattr(row, name)) for name in ESTIMATES} == {str(NOTHING)}


def test_rows_are_made_in_the_dtype_of_the_data():
    split = data()
    rounded = type(split)(*(values.float() for values in split))
    for rows in (
        lambda split: flow_rows("he", split, **SIZES, levels=[0.2])[0],
        lambda split: optimizer_rows("he", split, **SIZES, epochs=[2], method="batches of 8", max_epochs=2)[0],
    ):
        exact, single = rows(split), rows(rounded)
        assert exact.stability.mean != single.stability.mean
        assert isclose(exact.stability.mean, single.stability.mean, rel_tol=1e-3)


# Dead networks.


@pytest.fixture
def half_dead(monkeypatch):
    """Two of four networks are 0 on every row: no pixel is negative."""

    def networks(scheme, architecture, **settings):
        models = random_networks(scheme, architecture, **settings)
        models.weights[0].data[[1, 2]] = -models.weights[0].data[[1, 2]].abs()
        return models

    monkeypatch.setattr("tutorial_lib.book.equal_loss.random_networks", networks)


@pytest.mark.usefixtures("half_dead")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", ["flow", "batches of 8"])
def test_dead_networks_count_with_the_stability_0_and_leave_no_mean_over_the_lead(method, task):
    split, (loss, levels) = data(task), TASKS[task]
    settings = SIZES | {"levels": (9.0, levels[0]), "loss": loss}
    if method == "flow":
        above, below = flow_rows("he", split, **settings)
    else:
        above, below, epoch = optimizer_rows("he", split, **settings, epochs=[2], method=method, max_epochs=100)
        assert epoch.num_reached == epoch.stability.num_draws == 4
        assert str(epoch.over_lead) == str(NOTHING)
    singles, _ = start("he", split, **SIZES)
    alive = [perturbation_stability(singles[place], split.test_x).mean for place in (0, 3)]
    assert (above.num_reached, below.num_reached) == (4, 2)
    assert isclose(above.stability.mean, sum(alive) / 4, rel_tol=1e-9)
    assert above.lazy_ratio.mean == 0
    assert str(above.over_lead) == str(NOTHING)
    assert below.over_lead.num_draws == below.stability.num_draws == 2


# By the optimizers that people use.


def trained_by_hand(network, split, method, stable, *, levels, epochs, max_epochs, loss, seed):
    """Train one network with torch.optim; return what it was like at each level and epoch, by its place."""
    size, part = BATCHES_AND_PARTS[method]
    size = size or 40
    weights = [weight.detach().clone().requires_grad_() for weight in network.weights]
    optimizer = torch.optim.SGD(weights, lr=part * stable) if part else torch.optim.Adam(weights, lr=1e-3)
    order = random_stream(seed, f"batches of {size} out of 40")
    per_epoch = -(-40 // size)
    quarters = {-(-quarter * per_epoch // 4) for quarter in (1, 2, 3, 4)}
    found = {}

    def look(steps, epoch):
        model = ReLUMLP.from_weights(weights)
        value = training_loss(model, split, loss)
        places = [place for place, level in enumerate(levels) if value <= level]
        places += [len(levels) + place for place, wanted in enumerate(epochs) if wanted == epoch]
        for place in places:
            found.setdefault(place, measured(model, network, split, loss) | {"steps": steps})

    look(0, 0)
    for step in range(max_epochs * per_epoch):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            rows = torch.randperm(40, generator=order)
        batch = rows[place * size : (place + 1) * size]
        hidden = split.train_x[batch]
        for weight in weights[:-1]:
            hidden = torch.relu(hidden @ weight.T)
        outputs = hidden @ weights[-1].T
        if loss is CROSS_ENTROPY:
            value = torch.nn.functional.cross_entropy(outputs, split.train_y[batch].argmax(dim=1))
        else:
            value = 0.5 * (outputs.squeeze(1) - split.train_y[batch]).square().mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if place + 1 in quarters:
            look(step + 1, epoch + (place + 1 == per_epoch))
    return found


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_optimizer_rows_are_those_of_one_network_after_another(method, task):
    split, loss = data(task), TASKS[task][0]
    levels = (0.6, 0.47, 0.45) if task == "parity" else (2.35, 2.3)
    settings = {"levels": levels, "epochs": (1, 12, 30), "max_epochs": 30, "loss": loss, "seed": 2}
    rows = optimizer_rows("he", split, **SIZES, method=method, **settings)
    networks, rates = start("he", split, **SIZES, seed=2)
    found = [
        trained_by_hand(network, split, method, rate, **settings) for network, rate in zip(networks, rates, strict=True)
    ]
    moments = [(level, 0) for level in levels] + [(nan, epoch) for epoch in (1, 12, 30)]
    for place, (row, moment) in enumerate(zip(rows, moments, strict=True)):
        assert (row.scheme, row.width, row.depth, row.method, row.num_networks) == ("he", 9, 3, method, 4)
        assert str((row.level, row.epoch)) == str(moment)
        require_agreement(row, [one[place] for one in found if place in one])


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_a_network_is_at_or_below_a_level_and_the_later_the_lower_it_is(method):
    one = SIZES | {"num_networks": 1}
    rows = optimizer_rows("he", data(), **one, levels=(0.45, 0.4, 0.3), method=method, max_epochs=400)
    assert [row.num_reached for row in rows] == [1, 1, 1]
    assert all(0.7 * row.level < row.loss.mean <= row.level for row in rows)
    assert all(earlier.steps.mean < later.steps.mean for earlier, later in pairwise(rows))


def test_training_ends_when_the_last_level_and_the_last_epoch_have_been_seen():
    calls = []

    def values(outputs, labels):
        calls.append(len(labels))
        return HALF_SQUARE.values(outputs, labels)

    loss = Loss(values, HALF_SQUARE.residuals)
    settings = SIZES | {"method": "half the stable step", "max_epochs": 10_000, "loss": loss}
    optimizer_rows("he", data(), **settings, epochs=[3])
    assert len(calls) == 2 * 3 + 1  # each step, and one look at all rows before and after it
    calls.clear()
    (row,) = optimizer_rows("he", data(), **settings, levels=[0.3])
    assert row.num_reached == 4
    assert row.steps.mean <= len(calls) // 2 < 1000


def test_a_seed_has_one_order_of_rows_whatever_else_is_asked():
    split, seen = data(), []

    def values(outputs, labels):
        seen.append(labels.flatten().tolist())
        return HALF_SQUARE.values(outputs, labels)

    loss = Loss(values, HALF_SQUARE.residuals)
    for scheme, width, depth, networks, seed in (("he", 9, 3, 4, 2), ("mup", 5, 2, 3, 2), ("he", 9, 3, 4, 3)):
        sizes = {"width": width, "depth": depth, "num_networks": networks}
        torch.manual_seed(width)
        optimizer_rows(scheme, split, **sizes, epochs=[2], method="batches of 8", max_epochs=2, loss=loss, seed=seed)
    batches = [labels for labels in seen if len(labels) == 8]
    assert len(batches) == 30
    first, second, third = batches[:10], batches[10:20], batches[20:]
    assert first == second != third
    assert first[:5] != first[5:]  # another order in each epoch
    expected = torch.randperm(40, generator=random_stream(2, "batches of 8 out of 40"))
    assert first[:5] == split.train_y[expected].reshape(5, 8).tolist()


# A network that diverges.


def of_networks(factors):
    return lambda weights, stable: (torch.optim.SGD(weights, lr=1.0), 0.5 * stable * torch.tensor(factors).double())


@pytest.mark.parametrize("task", TASKS)
def test_a_network_that_diverges_is_in_no_level_and_no_epoch_after(task, monkeypatch):
    split, loss = data(task), TASKS[task][0]
    levels = (9.0, 0.45) if task == "parity" else (9.0, 2.28)
    monkeypatch.setitem(OPTIMIZERS, "mine", Optimizer(None, of_networks([1.0, 1e200, 1.0, 1.0])))
    settings = {"levels": levels, "epochs": (1, 80), "max_epochs": 80, "loss": loss, "seed": 2}
    above, below, early, late = optimizer_rows("he", split, **SIZES, method="mine", **settings)
    assert (above.num_reached, below.num_reached, early.num_reached, late.num_reached) == (4, 3, 3, 3)
    networks, rates = start("he", split, **SIZES, seed=2)
    found = [
        trained_by_hand(networks[place], split, "half the stable step", rates[place], **settings) for place in (0, 2, 3)
    ]
    for place, row in enumerate((below, early, late), start=1):
        require_agreement(row, [one[place] for one in found])


@pytest.mark.parametrize("rows", [8, 40], ids=["on a batch", "on all rows"])
def test_a_network_whose_loss_comes_back_from_infinity_stays_out(rows):
    split, numbers = data(), count(1)

    def values(outputs, labels):
        plain = HALF_SQUARE.values(outputs, labels)
        in_third_epoch = len(labels) == rows and next(numbers) == 12
        # An infinity that leaves the gradient as it was.
        return plain + torch.tensor([0, 0, inf, 0]).reshape(4, 1) if in_third_epoch else plain

    loss = Loss(values, HALF_SQUARE.residuals)
    settings = {"levels": (0.6, 0.2), "epochs": (1, 20), "max_epochs": 60, "seed": 2}
    before, below, early, late = optimizer_rows("he", split, **SIZES, method="batches of 8", loss=loss, **settings)
    assert (before.num_reached, below.num_reached, early.num_reached, late.num_reached) == (4, 3, 4, 3)
    networks, rates = start("he", split, **SIZES, seed=2)
    found = [
        trained_by_hand(networks[place], split, "batches of 8", rates[place], **settings, loss=HALF_SQUARE)
        for place in (0, 1, 3)
    ]
    require_agreement(below, [one[1] for one in found])
    require_agreement(late, [one[3] for one in found])


def test_nobody_is_waited_for_when_all_have_diverged(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "mine", Optimizer(None, of_networks([1e200] * 4)))
    settings = SIZES | {"method": "mine", "max_epochs": 2**50, "levels": [0.01], "epochs": [2**50]}
    below, late = optimizer_rows("he", data(), **settings)
    assert below.num_reached == late.num_reached == 0


# Bad input.

ONCE = {"method": "Adam", "max_epochs": 5}


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="^scheme must be one of he, lecun, mup, ntk, got 'xavier'$"):
        flow_rows("xavier", data(), **SIZES, levels=[0.1])
    with pytest.raises(ValueError, match="^scheme must be one of he, lecun, mup, ntk, got 'xavier'$"):
        optimizer_rows("xavier", data(), **SIZES, levels=[0.1], **ONCE)
    message = "^method must be one of Adam, a twentieth of it, batches of 32, batches of 8, half the stable step, got "
    for method in ("flow", "adam"):
        with pytest.raises(ValueError, match=f"{message}'{method}'$"):
            optimizer_rows("he", data(), **SIZES, levels=[0.1], **(ONCE | {"method": method}))


@pytest.mark.parametrize(
    ("levels", "kind", "message"),
    [
        ([], TypeError, r"^levels must be a sequence of one or more training losses, such as \[0.4, 0.1\], got \[\]$"),
        (0.1, TypeError, r"^levels must be a sequence of one or more training losses, such as \[0.4, 0.1\], got 0.1$"),
        ([0.1, 0.2], ValueError, r"^levels must decrease, the largest loss first, got \[0.1, 0.2\]$"),
        ([0.1, 0.1], ValueError, r"^levels must decrease, the largest loss first, got \[0.1, 0.1\]$"),
        ([0.1, 0.0], ValueError, "^levels must be a finite number > 0, got 0.0$"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_levels_that_do_not_fall_are_refused(levels, kind, message):
    with pytest.raises(kind, match=message):
        flow_rows("he", data(), **SIZES, levels=levels)
    with pytest.raises(kind, match=message):
        optimizer_rows("he", data(), **SIZES, levels=levels, **ONCE)
    if levels != []:
        with pytest.raises(kind, match=message):
            optimizer_rows("he", data(), **SIZES, levels=levels, epochs=[1], **ONCE)


@pytest.mark.parametrize(
    ("epochs", "kind", "message"),
    [
        ([0], ValueError, "^epochs must be an integer >= 1, got 0$"),
        ([1.5], TypeError, "^epochs must be an integer >= 1, got 1.5$"),
        (3, TypeError, "^epochs must be a sequence of numbers of epochs, got 3$"),
        ("3", TypeError, "^epochs must be a sequence of numbers of epochs, got '3'$"),
        ([3, 2], ValueError, r"^epochs must rise, up to max_epochs = 5, got \[3, 2\]$"),
        ([2, 2], ValueError, r"^epochs must rise, up to max_epochs = 5, got \[2, 2\]$"),
        ([2, 6], ValueError, r"^epochs must rise, up to max_epochs = 5, got \[2, 6\]$"),
    ],
)
@pytest.mark.usefixtures("as_a_reader")
def test_epochs_that_cannot_come_in_this_order_are_refused(epochs, kind, message):
    with pytest.raises(kind, match=message):
        optimizer_rows("he", data(), **SIZES, levels=[0.1], epochs=epochs, **ONCE)


def test_neither_levels_nor_epochs_is_refused_and_either_alone_is_enough():
    with pytest.raises(
        TypeError, match=r"^levels must be a sequence of one or more training losses, such as \[0.4, 0.1\], got \(\)$"
    ):
        optimizer_rows("he", data(), **SIZES, **ONCE)
    assert [row.epoch for row in optimizer_rows("he", data(), **SIZES, epochs=[1, 5], **ONCE)] == [1, 5]
    assert [row.level for row in optimizer_rows("he", data(), **SIZES, levels=[0.1], **ONCE)] == [0.1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_epochs": 0}, "^max_epochs must be an integer >= 1, got 0$"),
        ({"num_networks": 0}, "^num_networks must be an integer >= 1, got 0$"),
        ({"width": 0}, "^width must be an integer >= 1, got 0$"),
        ({"depth": 1}, "^depth counts weight matrices and must be >= 2, got 1$"),
    ],
)
def test_sizes_that_are_too_small_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        optimizer_rows("he", data(), levels=[0.1], **(SIZES | ONCE | settings))
    if "max_epochs" not in settings:
        with pytest.raises(ValueError, match=message):
            flow_rows("he", data(), levels=[0.1], **(SIZES | settings))


@pytest.mark.usefixtures("as_a_reader")
def test_data_that_are_not_finite_or_labels_in_one_column_are_refused():
    split = data()
    wrong = split._replace(test_x=torch.full_like(split.test_x, nan))
    columns = split._replace(train_y=split.train_y.unsqueeze(1), test_y=split.test_y.unsqueeze(1))
    for rows, settings in ((flow_rows, {}), (optimizer_rows, ONCE)):
        with pytest.raises(ValueError, match="^split.test_x must be finite, got nan or infinity$"):
            rows("he", wrong, **SIZES, levels=[0.1], **settings)
        message = r"^split.train_y must be one label per row without an axis, got \(40, 1\)$"
        with pytest.raises(ValueError, match=message):
            rows("he", columns, **SIZES, levels=[0.1], **settings)
