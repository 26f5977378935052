"""Reports: every number against its definition written out, the sentences, and data in every form it comes in."""

from math import isclose, sqrt

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tutorial_lib.architecture import Architecture
from tutorial_lib.initializations import he
from tutorial_lib.models import ReLUMLP
from tutorial_lib.reports import EXACT_OUTPUTS, classifier_report, regressor_report
from tutorial_lib.stability import input_jacobians, perturbation_stability, stability_per_input


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def network(generator, outputs, dim=6):
    shape = Architecture(input_dim=dim, width=9, depth=3, output_dim=outputs)
    return ReLUMLP(he(shape), shape, generator=generator)


class Affine(nn.Module):
    """Scores J x + b, whose derivatives and borders are known."""

    def __init__(self, matrix, offsets):
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("offsets", offsets)
        self.eval()

    def forward(self, x):
        return x @ self.matrix.T + self.offsets


def test_p_and_what_it_is_relative_to_worked_out_by_hand(generator):
    model, x = network(generator, 4), normal(generator, 11, 6)
    report = classifier_report(model, x, radius=0.3)
    values, outputs = stability_per_input(model, x), model(x).detach()
    ordered = outputs.sort(dim=1).values
    measured = perturbation_stability(model, x)
    assert isclose(report.stability.mean, measured.mean)
    assert isclose(report.stability.standard_error, measured.standard_error)
    assert isclose(report.over_size.mean, values.mean() / outputs.norm(dim=1).mean())
    assert isclose(report.over_lead.mean, values.mean() / (ordered[:, -1] - ordered[:, -2]).mean())
    assert (report.num_inputs, report.dim, report.output_dim, report.radius) == (11, 6, 4, 0.3)
    assert report.accuracy is None


def test_the_error_of_a_ratio_knows_that_its_parts_go_together(generator):
    # P is the same multiple of the lead at every input: no error at all, though both vary.
    model, x = Affine(torch.eye(2).double(), torch.zeros(2).double()), normal(generator, 50, 2)
    report = classifier_report(model, x)
    relative = report.over_lead.standard_error / report.over_lead.mean
    leads = (x[:, 0] - x[:, 1]).abs()
    assert isclose(relative, (leads.std() / leads.mean() / sqrt(50)).item(), rel_tol=1e-9)


def worst_within(model, x, radius):
    """Whether the best of the directions from class to class alters the answer of an affine classifier."""
    scores, altered = model(x), []
    for row, some in zip(x, scores, strict=True):
        answer = some.argmax()
        ends = [row + radius * (g / g.norm()) for g in (model.matrix - model.matrix[answer]) if g.norm() > 0]
        altered.append(any(model(end.unsqueeze(0)).argmax() != answer for end in ends))
    return torch.tensor(altered).double()


@pytest.mark.parametrize("radius", [0.05, 0.3, 1.0])
def test_the_chosen_change_alters_what_a_search_alters(radius, generator):
    model = Affine(normal(generator, 5, 6), normal(generator, 5))
    x = normal(generator, 200, 6)
    expected = worst_within(model, x, radius).mean().item()
    assert classifier_report(model, x, radius=radius).altered_by_chosen.mean == pytest.approx(expected, abs=1e-12)


def test_random_changes_alter_as_often_as_they_do(generator):
    model, x = Affine(normal(generator, 5, 6), normal(generator, 5)), normal(generator, 1, 6).expand(4000, 6)
    report = classifier_report(model, x, radius=2.0)
    directions = normal(generator, 40_000, 6)
    ball = (
        directions
        / directions.norm(dim=1, keepdim=True)
        * torch.rand(40_000, 1, generator=generator).double() ** (1 / 6)
    )
    share = (model(x[:1] + 2.0 * ball).argmax(dim=1) != model(x[:1]).argmax(dim=1)).double().mean().item()
    assert 0.05 < share < 0.95
    assert 4 * report.altered_by_random.standard_error < 0.04  # the smallest error that it catches
    assert abs(report.altered_by_random.mean - share) < 4 * report.altered_by_random.standard_error + 0.01


def test_with_many_outputs_one_direction_and_the_runner_up_are_tried(generator):
    assert EXACT_OUTPUTS == 32
    few, many = network(generator, 32), network(generator, 33)
    x = normal(generator, 300, 6)
    assert "exact" in classifier_report(few, x).method
    report = classifier_report(many, x, radius=0.2)
    assert report.method == "one random direction of change for each input"
    exact = perturbation_stability(many, x)
    assert abs((report.stability - exact.mean).mean) < 4 * report.stability.standard_error
    scores, jacobians = many(x).detach(), input_jacobians(many, x)
    first, second = scores.topk(2, dim=1).indices.T
    rows = torch.arange(300)
    steepness = (jacobians[rows, first] - jacobians[rows, second]).norm(dim=1)
    near = (scores[rows, first] - scores[rows, second]) <= 0.2 * steepness
    assert isclose(report.altered_by_chosen.mean, near.double().mean().item())
    assert "of the answers or more (only the second highest class was considered): an estimate" in str(report)


def test_one_score_is_a_classifier_by_its_sign(generator):
    model, x = network(generator, 1), normal(generator, 60, 6)
    labels = torch.randint(0, 2, (60,), generator=generator)
    report = classifier_report(model, x, labels=labels, radius=0.4)
    outputs, gradients = model(x).detach(), input_jacobians(model, x).squeeze(1).norm(dim=1)
    assert isclose(report.accuracy.mean, ((outputs > 0).long() == labels).double().mean().item())
    assert isclose(report.over_lead.mean, report.stability.mean / outputs.abs().mean().item())
    assert isclose(report.altered_by_chosen.mean, (outputs.abs() <= 0.4 * gradients).double().mean().item())


def test_the_accuracy_counts_right_answers(generator):
    model, x = network(generator, 3), normal(generator, 60, 6)
    answers = model(x).argmax(dim=1)
    labels = torch.where(torch.arange(60) < 45, answers, (answers + 1) % 3)
    assert classifier_report(model, x, labels=labels).accuracy.mean == 0.75


def test_a_regressor_has_an_error(generator):
    model, x = network(generator, 3), normal(generator, 40, 6)
    y = normal(generator, 40, 3)
    report = regressor_report(model, x, labels=y, radius=0.5)
    assert isclose(report.error, (model(x) - y).square().mean().sqrt().item())
    assert report.stability == perturbation_stability(model, x)
    assert f"over all inputs and outputs, is {report.error:.3g}." in str(report)
    assert regressor_report(model, x).error is None


# Data.


def test_batches_of_any_size_give_what_one_tensor_gives(generator):
    model, x = network(generator, 3), normal(generator, 41, 6)
    labels = torch.randint(0, 3, (41,), generator=generator)
    whole = classifier_report(model, x, labels=labels, radius=0.4)
    for batches in (
        DataLoader(TensorDataset(x, labels), batch_size=8),
        [(x[:40], labels[:40]), (x[40:], labels[40:])],
        ((x[i : i + 1], labels[i : i + 1]) for i in range(41)),
    ):
        report = classifier_report(model, batches, radius=0.4)
        assert report.num_inputs == 41
        for name in ("stability", "over_size", "over_lead", "altered_by_chosen", "accuracy"):
            one, other = getattr(whole, name), getattr(report, name)
            np.testing.assert_allclose([one.mean, one.standard_error], [other.mean, other.standard_error], rtol=1e-9)
    assert isclose(classifier_report(model, [x[:7], x[7:]]).stability.mean, whole.stability.mean, rel_tol=1e-12)


def test_images_in_float32_are_measured(generator):
    torch_state = torch.get_rng_state()
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)).eval()
    torch.set_rng_state(torch_state)
    x = torch.rand(300, 1, 8, 8, generator=generator)
    report = classifier_report(model, x, radius=0.1)
    assert isclose(report.stability.mean, perturbation_stability(model, x).mean, rel_tol=1e-9)
    assert (report.num_inputs, report.dim, report.output_dim) == (300, 64, 10)


def test_a_report_repeats_and_leaves_the_global_random_state(generator):
    model, x, before = network(generator, 40), normal(generator, 30, 6), torch.get_rng_state()
    first, second = (classifier_report(model, x, radius=0.2) for _ in range(2))
    assert first.stability == second.stability
    assert first.altered_by_random == second.altered_by_random
    other = classifier_report(model, x, radius=0.2, generator=torch.Generator().manual_seed(5))
    assert other.stability != first.stability
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("data", "settings", "error", "message"),
    [
        (3, {}, TypeError, "^data must be a tensor or an iterable of batches, got int$"),
        ("abc", {}, TypeError, "^data must be a tensor or an iterable of batches, got str$"),
        ([], {}, ValueError, "^data must hold at least one batch, got none$"),
        (np.ones((2, 6)), {}, TypeError, r"got ndarray: convert with torch.from_numpy\(...\)$"),
        ([np.ones((2, 6))], {}, TypeError, r"a batch of ndarray: convert with torch.from_numpy\(...\)$"),
        (
            TensorDataset(torch.ones(2, 6)),
            {},
            TypeError,
            "^data must give batches, got TensorDataset: wrap it in a torch.utils.data.DataLoader$",
        ),
        (
            torch.ones(6),
            {},
            ValueError,
            r"^data must have shape \(batch, ...\) .* \(6,\): one input is data.unsqueeze\(0\)$",
        ),
        (torch.ones(2, 6), {"labels": torch.eye(3)[:2]}, ValueError, r"one-hot, use labels.argmax\(dim=1\)$"),
        ([3], {}, TypeError, "^data must give tensors, or pairs of inputs and labels, got a batch of int$"),
        ([(torch.ones(2, 6), 3)], {}, TypeError, "^labels must be a tensor, got int$"),
        (
            [(torch.ones(2, 6), [0, 1])],
            {},
            TypeError,
            r"^labels must be a tensor, got list: convert with torch.tensor\(labels\)$",
        ),
        ([(torch.ones(2, 6), 1, 2, 3)], {}, TypeError, r"got a batch of Tensor, int, int, \.\.\.$"),
        (torch.ones(2, 6), {"radius": -1.0}, ValueError, "^radius must be a finite number > 0, got -1.0$"),
        (
            torch.ones(2, 6),
            {"labels": torch.ones(3).long()},
            ValueError,
            r"^data must give inputs and one label for each of them, got shapes \(2, 6\) and \(3,\)$",
        ),
        (torch.ones(2, 6), {"labels": torch.tensor([0, 3])}, ValueError, "^labels must be from 0 to 2, got 0 to 3$"),
        (torch.ones(2, 6), {"labels": torch.tensor([0, -1])}, ValueError, "^labels must be from 0 to 2, got -1 to 0$"),
        (
            torch.ones(2, 6),
            {"labels": torch.ones(2)},
            TypeError,
            r"^labels must be class numbers, got torch.float32: convert with labels.long\(\)$",
        ),
        (
            [torch.ones(2, 6)],
            {"labels": torch.ones(2).long()},
            ValueError,
            "^labels must come in pairs with the inputs where data is an iterable of batches, got both$",
        ),
        (torch.zeros(2, 6) / 0, {}, ValueError, "^data must be finite, got nan or infinity$"),
        (torch.ones(2, 5), {}, ValueError, r"^model fails on rows of data, of shape \(5,\): "),
    ],
)
def test_data_that_do_not_fit_are_refused(as_a_reader, data, settings, error, message, generator):  # noqa: ARG001
    if isinstance(data, torch.Tensor):
        data = data.double()
    elif isinstance(data, list):
        data = [batch.double() if isinstance(batch, torch.Tensor) else batch for batch in data]
    with pytest.raises(error, match=message):
        classifier_report(network(generator, 3), data, **settings)


def test_what_a_report_cannot_measure_is_refused_with_the_way_out(generator):
    x = normal(generator, 30, 6)
    shape = Architecture(input_dim=6, width=9, depth=3)
    ensemble = ReLUMLP(he(shape), shape, num_networks=4, generator=generator)
    with pytest.raises(ValueError, match="got an ensemble of 4: perturbation_stability takes an ensemble$"):
        classifier_report(ensemble, x)
    with pytest.raises(
        ValueError, match=r"^data must be torch.float64 .* got torch.float32 on cpu: use data.to\(torch.float64\)$"
    ):
        classifier_report(nn.Sequential(network(generator, 3)).eval(), x.float())
    with pytest.raises(ValueError, match=r"^labels must be from 0 to 1, got -1 to 1: .* use \(labels \+ 1\) // 2$"):
        classifier_report(network(generator, 1), x, labels=2 * (x[:, 0] > 0) - 1)


def test_a_network_that_answers_nothing_is_refused_by_its_name(generator):
    x = normal(generator, 5, 3)
    dead, undecided = (
        Affine(torch.zeros(2, 3).double(), torch.zeros(2).double()),
        Affine(torch.ones(2, 3).double(), torch.zeros(2).double()),
    )
    for report in (classifier_report, regressor_report):
        with pytest.raises(ValueError, match="^model must have outputs other than 0 at some input of data, got 0"):
            report(dead, x)
    with pytest.raises(ValueError, match="^model must prefer one answer to another at some input of data, got equal"):
        classifier_report(undecided, x)


@pytest.mark.parametrize(("outputs", "last"), [(3, nn.Softmax(dim=1)), (1, nn.Sigmoid())])
def test_probabilities_are_refused_and_logits_are_not(outputs, last, generator):
    model, x = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, outputs)).double(), normal(generator, 40, 6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(normal(generator, *parameter.shape))
    with pytest.raises(
        ValueError, match="^model must give logits, got .* like probabilities: leave out a final softmax or sigmoid. "
    ):
        classifier_report(nn.Sequential(model, last).eval(), x)
    assert classifier_report(model.eval(), x).num_inputs == 40
    assert regressor_report(nn.Sequential(model, last).eval(), x).num_inputs == 40
    # Some scores are between 0 and 1 by chance.
    few = x[(model(x).reshape(40, -1).abs() < 1).all(dim=1)][:1] if outputs == 1 else x[:1]
    assert classifier_report(model, few).num_inputs == 1


def test_inputs_and_labels_as_a_pair_are_refused_with_the_way_out(generator):
    x, y = normal(generator, 30, 3), normal(generator, 30, 1)
    with pytest.raises(ValueError, match=r"^data must not be a pair of tensors, .*: pass the labels as labels=, or"):
        regressor_report(network(generator, 1, dim=3), (x, y))
    assert regressor_report(network(generator, 1, dim=3), [(x, y)]).error is not None


def test_fractions_are_no_class_numbers(generator):
    x = normal(generator, 30, 6)
    with pytest.raises(TypeError, match="got torch.float64: for real-valued targets use regressor_report$"):
        classifier_report(network(generator, 3), x, labels=normal(generator, 30))


def test_labels_for_some_batches_only_are_refused(generator):
    x = normal(generator, 4, 6)
    with pytest.raises(ValueError, match="^data must be of one kind: .* labels for all batches or for none$"):
        classifier_report(network(generator, 3), [(x, torch.zeros(4).long()), x])


def test_a_regressor_wants_labels_of_the_shape_of_its_outputs(generator):
    with pytest.raises(ValueError, match=r"^labels must have shape \(4, 3\), got \(4, 1\)$"):
        regressor_report(network(generator, 3), normal(generator, 4, 6), labels=normal(generator, 4))


def test_training_mode_is_refused(generator):
    with pytest.raises(ValueError, match="^model must be in eval mode"):
        classifier_report(nn.Sequential(network(generator, 3)).train(), normal(generator, 4, 6))


# The sentences.


def test_the_report_reads_as_sentences():
    model = Affine(torch.tensor([[3.0, 0.0], [0.0, 0.0]]).double(), torch.tensor([0.0, 1.0]).double())
    x = torch.tensor([[1.0, 0.0], [-2.0, 1.0], [2.0, 5.0], [0.5, 0.5]]).double()
    report = classifier_report(model, x, labels=torch.tensor([0, 1, 0, 0]), radius=0.5)
    first, *_ = lines = str(report).splitlines()
    assert first.startswith("Perturbation stability P / radius = 1.2732 ± 0.0000 (n = 4), mean and standard")
    text = " ".join(lines)
    # Leads 2, 7, 5 and 1/2 over a slope of 3: within 1/2 of the border lies the last one only.
    assert "The worst changes of that size alter 25 ± 25 % of the answers: an estimate to first order" in text
    assert "The network gets all of the answers (n = 4) right." in text
    assert "Measured on 4 inputs of 2 numbers, with 2 outputs; the mean" in text
    assert "the mean over all directions of change is exact" in text
    assert f"by {0.5 * report.stability.mean:.3g} on average" in text
    without = str(classifier_report(model, x))
    assert "Per unit of radius that is" in without
    assert "alter" not in without


def test_the_sentences_about_one_input_and_about_all_of_the_answers(generator):
    model, x = network(generator, 3), normal(generator, 1, 6)
    labels = model(x).argmax(dim=1)
    text = str(classifier_report(model, x, labels=labels, radius=100.0))
    assert "(n = 1, error unknown), its error is unknown for one input: how far" in text
    assert "alter all of the answers (n = 1): an estimate" in text
    assert "The network gets all of the answers (n = 1) right." in text
    assert "Measured on 1 input of 6 numbers, with 3 outputs" in text
    assert "gets none of the answers (n = 1) right" in str(classifier_report(model, x, labels=(labels + 1) % 3))
    many = str(classifier_report(network(generator, 40), x, radius=100.0))
    assert "alter all of the answers (n = 1): an estimate" in many


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(0.0012, "0.12 % of"), (0.0534, "5.3 % of"), (0.996, "100 % of"), (1.04, "1 times"), (123456.7, "123,457 times")],
)
def test_how_many_times_is_said_without_powers_of_ten(ratio, words):
    # One score: P / radius over the mean lead is the slope over |f|, times the constant of one dimension.
    model = Affine(torch.tensor([[2 * ratio]]).double(), torch.tensor([1.0]).double())
    assert f"that is {words} the mean distance of the score from 0" in str(
        classifier_report(model, torch.zeros(3, 1).double())
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_go_to_the_device_of_the_model(generator):
    model, x = network(generator, 3), normal(generator, 20, 6)
    expected = classifier_report(model, x, radius=0.3).stability.mean
    assert isclose(classifier_report(model.cuda(), [x], radius=0.3).stability.mean, expected, rel_tol=1e-6)
