"""Attacks stay in their sets, never get worse, and reach the closed form where there is one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tutorial_lib.images.attacks import L2Ball, LinfBall, Masked, attack, expected, hit_rate, targeted, untargeted
from tutorial_lib.images.transformations import Transformations

HALF = torch.zeros(4, 4, dtype=torch.bool)
HALF[:, :2] = True
SETS = {
    "linf": LinfBall(0.2),
    "l2": L2Ball(0.7),
    "patch": Masked(LinfBall(1.0), HALF),
    "masked l2": Masked(L2Ball(0.3), HALF),
}


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(count=6, seed=0):
    return torch.rand(count, 1, 4, 4, generator=stream(seed), dtype=torch.float64)


def classifier(seed=0):
    """A small network with three classes and smooth, curved scores."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=stream(seed + 1), dtype=torch.float64)
    return model


def size(within, perturbations):
    """The norm of the set, written out."""
    ball = within.ball if isinstance(within, Masked) else within
    rows = perturbations.flatten(1)
    return rows.abs().amax(dim=1) if isinstance(ball, LinfBall) else rows.square().sum(dim=1).sqrt()


@pytest.mark.parametrize("within", SETS.values(), ids=SETS)
@given(seed=st.integers(0, 1000), num_steps=st.integers(1, 10))
def test_results_are_in_the_set_and_in_the_pixel_range(within, seed, num_steps):
    images, classes = random_images(seed=seed), torch.tensor([0, 1, 2, 0, 1, 2])
    found = attack(
        untargeted(classifier(), classes), images, within, num_steps=num_steps, num_restarts=1, generator=stream(seed)
    )
    assert found.min() >= 0 and found.max() <= 1
    assert (size(within, found - images) <= within.radius * (1 + 1e-12)).all()
    if isinstance(within, Masked):
        assert torch.equal(found[..., ~HALF], images[..., ~HALF])


@pytest.mark.parametrize("within", SETS.values(), ids=SETS)
@given(seed=st.integers(0, 1000))
def test_projection_keeps_the_set_and_is_the_nearest_point(within, seed):
    far = torch.randn(5, 1, 4, 4, generator=stream(seed), dtype=torch.float64)
    near = within.project(far)
    assert (size(within, near) <= within.radius * (1 + 1e-12)).all()
    torch.testing.assert_close(within.project(near), near)
    assert not isinstance(within, Masked) or not near[..., ~HALF].any()
    # Nearest point of a convex set: the rest makes an obtuse angle with every way into the set.
    inside = within.random(far, generator=stream(seed + 1))
    torch.testing.assert_close(within.project(inside), inside)
    assert (((far - near) * (inside - near)).flatten(1).sum(dim=1) <= 1e-12).all()


@pytest.mark.parametrize("within", SETS.values(), ids=SETS)
def test_no_perturbation_of_size_one_beats_the_steepest(within):
    gradients = torch.randn(5, 1, 4, 4, generator=stream(), dtype=torch.float64)
    steepest = within.steepest(gradients)
    assert (size(within, steepest) <= 1 + 1e-12).all()
    for seed in range(50):
        other = within.random(gradients, generator=stream(seed)) / within.radius
        assert ((gradients * steepest).flatten(1).sum(1) >= (gradients * other).flatten(1).sum(1)).all()
    assert not within.steepest(torch.zeros_like(gradients)).any()


@pytest.mark.parametrize("within", SETS.values(), ids=SETS)
def test_random_perturbations_fill_their_set(within):
    draws = within.random(random_images(2000), generator=stream())
    allowed = within.mask if isinstance(within, Masked) else torch.ones(4, 4, dtype=torch.bool)
    assert not draws[..., ~allowed].any()
    sizes, pixels = size(within, draws), draws[..., allowed]
    assert sizes.max() > 0.7 * within.radius
    # Every pixel goes both ways: 2000 draws, each symmetric around 0.
    assert (pixels.mean(dim=(0, 1)).abs() < 4 * pixels.std(dim=(0, 1)) / 2000**0.5).all()
    if isinstance(within, LinfBall):  # uniform on [-0.2, 0.2]
        assert abs(pixels.std() - 0.2 / 3**0.5) < 0.001


def linear_scores(weights):
    """A classifier with two classes and the scores <w, x> and 0."""
    scores = nn.Linear(len(weights), 2, bias=False, dtype=torch.float64)
    scores.weight.data = torch.stack([weights, torch.zeros_like(weights)])
    return nn.Sequential(nn.Flatten(), scores).eval()


@pytest.mark.parametrize("num_restarts", [0, 2])
def test_linear_scores_fall_as_far_as_the_dual_norm_allows(num_restarts):
    weights = torch.randn(16, generator=stream(5), dtype=torch.float64)
    model, classes = linear_scores(weights), torch.zeros(6, dtype=torch.long)
    images = 0.5 + 0.1 * (random_images() - 0.5)  # far from the ends of the pixel range
    clean = model(images)[:, 0]
    by_hand = {LinfBall(0.2): 0.2 * weights.abs().sum(), L2Ball(0.3): 0.3 * weights.norm()}
    by_hand[Masked(LinfBall(0.2), HALF)] = 0.2 * weights[HALF.flatten()].abs().sum()
    for within, most in by_hand.items():
        found = attack(untargeted(model, classes), images, within, num_restarts=num_restarts, generator=stream())
        # A random start of the Euclidean ball turns towards the gradient only step by step.
        tolerance = 1e-9 if num_restarts == 0 or not isinstance(within, L2Ball) else 1e-2
        torch.testing.assert_close(clean - model(found)[:, 0], most.expand(6), rtol=tolerance, atol=0)


def test_linear_scores_at_the_ends_of_the_pixel_range():
    weights = torch.randn(16, generator=stream(5), dtype=torch.float64)
    images = random_images()
    model = linear_scores(weights)
    found = attack(untargeted(model, torch.zeros(6, dtype=torch.long)), images, LinfBall(0.4), generator=stream())
    torch.testing.assert_close(found, (images - 0.4 * weights.sign().reshape(4, 4)).clamp(0, 1))


def test_steps_shrink_so_that_a_maximum_inside_the_set_is_found():
    images = 0.5 + 0.1 * (random_images() - 0.5)
    goals = images + 0.05 * torch.randn(images.shape, generator=stream(3), dtype=torch.float64).clamp(-3, 3)
    found = attack(lambda z: -(z - goals).square().flatten(1).sum(dim=1), images, LinfBall(0.2), num_steps=100)
    # Steps begin at 5 * 0.2 / 100 = 0.01 and end at 0.0001.
    assert (found - goals).abs().max() < 0.002


@pytest.mark.parametrize("within", SETS.values(), ids=SETS)
def test_an_attack_is_never_weaker_than_its_start(within):
    for seed in range(20):
        # One coarse step overshoots often; then the image itself must come back.
        images, objective = random_images(seed=seed), untargeted(classifier(seed), torch.tensor([0, 1, 2, 0, 1, 2]))
        found = attack(objective, images, within, num_steps=1, generator=stream())
        assert (objective(found) >= objective(images)).all()


def test_more_starts_are_never_weaker():
    images, objective = random_images(), untargeted(classifier(), torch.tensor([0, 1, 2, 0, 1, 2]))
    one = attack(objective, images, LinfBall(0.3), num_steps=5, generator=stream())
    more = attack(objective, images, LinfBall(0.3), num_steps=5, num_restarts=3, generator=stream())
    assert (objective(more) >= objective(one)).all() and (objective(more) > objective(one)).any()


def test_strength_grows_with_the_radius_on_average():
    images, model = random_images(200), classifier()
    classes = model(images).argmax(dim=1)
    objective = untargeted(model, classes)
    strength = [
        objective(attack(objective, images, LinfBall(radius), generator=stream())).mean().item()
        for radius in (0.02, 0.05, 0.1, 0.2, 0.4)
    ]
    assert strength == sorted(strength) and strength[-1] > 4 * strength[0]


def test_a_targeted_attack_reaches_and_an_untargeted_one_leaves():
    images, model = random_images(50), classifier()
    classes = model(images).argmax(dim=1)
    targets = (classes + 1) % 3
    reached = attack(targeted(model, targets), images, LinfBall(0.6), generator=stream())
    left = attack(untargeted(model, classes), images, LinfBall(0.6), generator=stream())
    assert (model(reached).argmax(dim=1) == targets).double().mean() > 0.9
    assert (model(left).argmax(dim=1) != classes).double().mean() > 0.9


def test_the_expected_objective_is_the_mean_over_transformations():
    images, objective = random_images(), targeted(classifier(), torch.tensor([0, 1, 2, 0, 1, 2]))
    still = expected(objective, Transformations(), num_transformations=3, generator=stream())
    torch.testing.assert_close(still(images), objective(images))
    turns = Transformations(max_angle=60, max_shift=0.1)
    by_hand, same = stream(1), stream(1)
    values = [objective(turns.sample(images, generator=by_hand)) for _ in range(4)]
    found = expected(objective, turns, num_transformations=4, generator=same)(images)
    torch.testing.assert_close(found, sum(values) / 4)


def test_the_hit_rate_counts_answers_under_fresh_transformations():
    images, model = random_images(), classifier()
    answers = model(images).argmax(dim=1)
    still = hit_rate(model, images, answers, Transformations(), num_transformations=3, generator=stream())
    never = hit_rate(model, images, (answers + 1) % 3, Transformations(), num_transformations=3, generator=stream())
    assert still.tolist() == [1.0] * 6 and never.tolist() == [0.0] * 6
    turns, by_hand = Transformations(max_angle=180, max_shift=0.5), stream(2)
    hits = [(model(turns.sample(images, generator=by_hand)).argmax(1) == answers).double() for _ in range(50)]
    found = hit_rate(model, images, answers, turns, num_transformations=50, generator=stream(2))
    torch.testing.assert_close(found, torch.stack(hits).mean(dim=0))
    assert 0 < found.mean() < 1


def test_attacks_follow_the_dtype_of_the_images():
    images = random_images().float()
    for within in SETS.values():
        found = attack(
            untargeted(classifier().float(), torch.zeros(6).long()), images, within, num_restarts=1, generator=stream()
        )
        assert found.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_attacks_follow_the_device_of_the_images():
    images, model = random_images().cuda(), classifier().cuda()
    for within in (*SETS.values(), Masked(LinfBall(1.0), HALF.cuda())):
        objective = untargeted(model, torch.zeros(6, dtype=torch.long, device="cuda"))
        turned = expected(objective, Transformations(max_angle=30), num_transformations=2, generator=stream())
        assert attack(turned, images, within, num_restarts=1, generator=stream()).is_cuda


@pytest.mark.parametrize("ball", [LinfBall, L2Ball])
def test_a_radius_must_be_positive(ball):
    with pytest.raises(ValueError, match="^radius must be a finite number > 0, got 0$"):
        ball(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.rand(2, 4, 4)}, r"^images .* \(batch, channels, height, width\) .* got \(2, 4, 4\)$"),
        ({"images": torch.rand(0, 1, 4, 4)}, r"^images .* got \(0, 1, 4, 4\)$"),
        (
            {"images": torch.full((2, 1, 4, 4), 1.5)},
            r"^images must be in \[0, 1\], got pixels from 1.5 to 1.5: pixel_range allows more$",
        ),
        (
            {"images": torch.full((2, 1, 4, 4), -0.5)},
            r"^images must be in \[0, 1\], got pixels from -0.5 to -0.5: pixel_range allows more$",
        ),
        ({"images": torch.full((2, 1, 4, 4), float("nan"))}, "^images must be finite, got nan or infinity$"),
        ({"within": Masked(LinfBall(1), HALF[:3])}, r"^mask must have shape \(4, 4\), got \(3, 4\)$"),
        ({"num_steps": 0}, "^num_steps must be an integer >= 1, got 0$"),
        ({"num_restarts": -1}, "^num_restarts must be an integer >= 0, got -1$"),
        (
            {"objective": lambda images: images.sum()},
            r"^objective must give 2 numbers, one per image, got shape \(\) with 0 nan$",
        ),
        (
            {"objective": lambda images: images.flatten(1).sum(1) * torch.nan},
            r"^objective must give 2 numbers, one per image, got shape \(2,\) with 2 nan$",
        ),
    ],
)
def test_bad_input_is_refused(change, message, as_a_reader):  # noqa: ARG001
    settings = {"objective": lambda x: x.flatten(1).sum(1), "images": torch.rand(2, 1, 4, 4), "within": LinfBall(0.1)}
    with pytest.raises(ValueError, match=message):
        attack(**settings | change)


def test_random_starts_need_a_generator(as_a_reader):  # noqa: ARG001
    with pytest.raises(TypeError, match="^generator must be a torch.Generator, .* got None$"):
        attack(lambda x: x.flatten(1).sum(1), random_images(), LinfBall(0.1), num_restarts=2)


def test_integer_pixels_are_refused(as_a_reader):  # noqa: ARG001
    images = torch.ones(2, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(
        TypeError, match="^images must hold floating-point numbers, float32 or float64, got torch.uint8$"
    ):
        attack(lambda x: x.flatten(1).sum(1), images, LinfBall(0.1))


def test_counts_must_be_at_least_one():
    settings = {"num_transformations": 0, "generator": stream()}
    with pytest.raises(ValueError, match="^num_transformations must be an integer >= 1, got 0$"):
        expected(lambda x: x, Transformations(), **settings)
    with pytest.raises(ValueError, match="^num_transformations must be an integer >= 1, got 0$"):
        hit_rate(classifier(), random_images(), torch.zeros(6).long(), Transformations(), **settings)


@pytest.mark.parametrize("count", [1, 5])
def test_every_image_needs_a_class(count, as_a_reader):  # noqa: ARG001
    images, model, classes = random_images(), classifier(), torch.zeros(count, dtype=torch.long)
    refused = rf" must have shape \(6,\), got \({count},\)$"
    with pytest.raises(ValueError, match="^classes" + refused):
        untargeted(model, classes)(images)
    with pytest.raises(ValueError, match="^targets" + refused):
        targeted(model, classes)(images)
    with pytest.raises(ValueError, match="^classes" + refused):
        hit_rate(model, images, classes, Transformations(), num_transformations=2, generator=stream())


def test_sets_with_masks_can_be_compared():
    assert Masked(LinfBall(1.0), HALF) != Masked(LinfBall(1.0), ~HALF)


@pytest.mark.parametrize(("classes", "extremes"), [([0, 1, 3], "0 to 3"), ([0, -1, 2], "-1 to 2")])
def test_class_numbers_out_of_range_are_refused(classes, extremes):
    images, model, classes = random_images(3), classifier(), torch.tensor(classes)
    refused = f" must be from 0 to 2, got {extremes}$"
    with pytest.raises(ValueError, match="^classes" + refused):
        attack(untargeted(model, classes), images, LinfBall(0.1))
    with pytest.raises(ValueError, match="^targets" + refused):
        attack(targeted(model, classes), images, LinfBall(0.1))
    with pytest.raises(ValueError, match="^classes" + refused):
        hit_rate(model, images, classes, Transformations(), num_transformations=2, generator=stream())


def test_classes_must_be_numbers_of_classes(as_a_reader):  # noqa: ARG001
    images, model = random_images(3), classifier()
    for classes, dtype in ((torch.zeros(3), "torch.float32"), (torch.zeros(3, dtype=torch.bool), "torch.bool")):
        with pytest.raises(
            TypeError, match=f"^classes must be a tensor of class numbers, torch.int64, got {dtype} on cpu$"
        ):
            untargeted(model, classes)(images)
        with pytest.raises(
            TypeError, match=f"^classes must be a tensor of class numbers, torch.int64, got {dtype} on cpu$"
        ):
            hit_rate(model, images, classes, Transformations(), num_transformations=2, generator=stream())


def test_a_model_without_scores_is_refused():
    model, classes = (
        nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Unflatten(1, (1, 3))).double().eval(),
        torch.zeros(6),
    )
    with pytest.raises(
        ValueError, match=r"^model must give one row of scores per image, got \(6, 1, 3\) for 6 images$"
    ):
        untargeted(model, classes.long())(random_images())


def with_normalization():
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3)]
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("part", [None, 1, 3])
def test_a_model_in_training_mode_is_refused_and_left_as_it_is(part):
    model, images, classes = with_normalization(), random_images(), torch.zeros(6, dtype=torch.long)
    if part is not None:
        model.eval()[part].train()
    before, state = [value.clone() for value in model.state_dict().values()], torch.get_rng_state()
    name = {None: r"1 \(BatchNorm2d\)", 1: r"1 \(BatchNorm2d\)", 3: r"3 \(Dropout\)"}[part]
    for call in (
        lambda: attack(untargeted(model, classes), images, LinfBall(0.1)),
        lambda: attack(targeted(model, classes), images, LinfBall(0.1)),
        lambda: hit_rate(model, images, classes, Transformations(), num_transformations=2, generator=stream()),
    ):
        with pytest.raises(ValueError, match=rf"^model must be in eval mode, call model.eval\(\) first; .* {name}$"):
            call()
    assert all(map(torch.equal, model.state_dict().values(), before))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_that_is_put_in_training_mode_later_is_refused():
    model, images, classes = with_normalization().eval(), random_images(), torch.zeros(6, dtype=torch.long)
    objective = untargeted(model, classes)
    model.train()
    with pytest.raises(ValueError, match="^model must be in eval mode"):
        attack(objective, images, LinfBall(0.1))


def test_an_attack_changes_neither_the_model_nor_the_random_state():
    model, images, classes = with_normalization().eval(), random_images(), torch.zeros(6, dtype=torch.long)
    before, state = [value.clone() for value in model.state_dict().values()], torch.get_rng_state()
    objective = expected(
        untargeted(model, classes),
        Transformations(max_angle=30, max_scale=0.1),
        num_transformations=2,
        generator=stream(),
    )
    attack(objective, images, LinfBall(0.1), num_restarts=1, generator=stream())
    hit_rate(model, images, classes, Transformations(max_shift=0.1), num_transformations=2, generator=stream())
    assert all(map(torch.equal, model.state_dict().values(), before))
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_an_attack_finds_the_same_whatever_the_mode_of_autograd():
    images, objective = random_images(), untargeted(classifier(), torch.tensor([0, 1, 2, 0, 1, 2]))
    found = attack(objective, images, LinfBall(0.2))
    with torch.no_grad():
        assert torch.equal(attack(objective, images, LinfBall(0.2)), found)
    leaf = images.clone().requires_grad_()
    assert torch.equal(attack(objective, leaf, LinfBall(0.2)), found)
    assert leaf.requires_grad and leaf.grad is None and torch.equal(leaf, images)
    assert not found.requires_grad


def test_images_are_left_alone():
    images = random_images()
    before = images.clone()
    attack(untargeted(classifier(), torch.zeros(6).long()), images, LinfBall(0.2), num_restarts=1, generator=stream())
    assert torch.equal(images, before) and not images.requires_grad and images.grad is None


# What mutants survived.


def recorded(values):
    """An objective that remembers the images at which it is evaluated."""
    seen = []

    def objective(images):
        seen.append(images.detach().clone())
        return values(images)

    return objective, seen


def total(images):
    return images.flatten(1).sum(dim=1)


def test_the_first_step_is_five_radii_over_the_number_of_steps():
    images, (objective, seen) = torch.full((2, 1, 3, 3), 0.5).double(), recorded(total)
    attack(objective, images, LinfBall(0.2), num_steps=20)
    # At the image (its value, then the first gradient), and one step further.
    torch.testing.assert_close(seen[2] - images, torch.full_like(images, 5 * 0.2 / 20))
    torch.testing.assert_close(seen[3] - seen[2], torch.full_like(images, 5 * 0.2 / 20 * 19 / 20))


def test_by_default_there_are_forty_steps():
    objective, seen = recorded(total)
    attack(objective, torch.full((1, 1, 2, 2), 0.5).double(), LinfBall(0.2))
    assert len(seen) == 1 + 40 + 1  # the image, the gradients, the end


def test_a_random_start_is_the_one_drawn_and_stays_in_the_pixel_range():
    images = torch.tensor([0.0, 1.0, 0.5, 0.9]).double().reshape(1, 1, 2, 2).repeat(50, 1, 1, 1)
    objective, seen = recorded(total)
    attack(objective, images, LinfBall(0.3), num_steps=1, num_restarts=1, generator=stream())
    start = LinfBall(0.3).random(images, generator=stream())
    first = next(points for points in seen[3:] if not torch.equal(points, images))
    torch.testing.assert_close(first, (images + start).clamp(0, 1))
    assert all(points.min() >= 0 and points.max() <= 1 for points in seen)


def test_what_is_no_better_than_the_image_is_not_taken():
    images = random_images(3)
    flat = lambda points: 0 * points.flatten(1).sum(dim=1)  # noqa: E731
    found = attack(flat, images, LinfBall(0.3), num_steps=2, num_restarts=1, generator=stream())
    assert torch.equal(found, images)


def test_one_restart_needs_a_generator(as_a_reader):  # noqa: ARG001
    with pytest.raises(TypeError, match="^generator must be a torch.Generator"):
        attack(total, random_images(2), LinfBall(0.3), num_steps=2, num_restarts=1)


def test_black_and_white_pixels_are_in_range():
    images = torch.tensor([0.0, 1.0, 0.0, 1.0]).double().reshape(1, 1, 2, 2)
    assert attack(total, images, LinfBall(0.1), num_steps=2).shape == images.shape


def test_random_points_are_drawn_in_float64():
    images = random_images(2)
    exact = LinfBall(0.3).random(images, generator=stream())
    torch.testing.assert_close(
        LinfBall(0.3).random(images.float(), generator=stream()), exact.float(), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("mask", [torch.ones(3, 3), torch.ones(2, 3, 3, dtype=torch.bool), [[True]], None])
def test_a_mask_is_a_matrix_of_bool(as_a_reader, mask):  # noqa: ARG001
    with pytest.raises(TypeError, match="^mask must be a matrix of bool, got"):
        Masked(L2Ball(0.3), mask)


def test_what_is_no_transformation_no_class_and_no_score_is_named(as_a_reader):  # noqa: ARG001
    model, images, classes = classifier(), random_images(2), torch.zeros(2, dtype=torch.long)
    settings = {"num_transformations": 2, "generator": stream()}
    with pytest.raises(TypeError, match="^transformations must be of the kind Transformations, got 3$"):
        expected(total, 3, **settings)
    with pytest.raises(TypeError, match="^transformations must be of the kind Transformations, got 3$"):
        hit_rate(model, images, classes, 3, **settings)
    with pytest.raises(TypeError, match=r"^classes must be a tensor of class numbers, torch.int64, got \[0, 0\]$"):
        hit_rate(model, images, [0, 0], Transformations(), **settings)

    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(ValueError, match="^model must give one row of scores per image, got tuple for 2 images$"):
        hit_rate(Pair().eval(), images, classes, Transformations(), **settings)


def test_without_a_pixel_range_a_linear_score_falls_as_far_as_in_the_whole_ball():
    # From a corner of the pixel range, along a gradient that points out of it.
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False)).double().eval()
    model[1].weight.data = torch.stack([torch.ones(16), torch.zeros(16)]).double()
    corner = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    objective = untargeted(model, torch.tensor([0]))
    free = attack(objective, corner, L2Ball(0.7), pixel_range=(-torch.inf, torch.inf))
    torch.testing.assert_close(free, torch.full_like(corner, -0.7 / 4))
    assert torch.equal(attack(objective, corner, L2Ball(0.7)), corner)
    below = attack(objective, corner, L2Ball(0.7), pixel_range=(-0.1, 1))
    torch.testing.assert_close(below, torch.full_like(corner, -0.1))


@pytest.mark.parametrize("wrong", [(1, 0), (0, 0), (0, float("nan"))])
def test_a_pixel_range_has_a_smaller_and_a_larger_end(wrong, as_a_reader):  # noqa: ARG001
    with pytest.raises(ValueError, match="^pixel_range must be a smaller and a larger number"):
        attack(lambda x: x.flatten(1).sum(dim=1), random_images(), L2Ball(0.7), pixel_range=wrong)


@pytest.mark.parametrize("wrong", [None, 1.0, (0, 1, 2), ("a", 1)])
def test_a_pixel_range_is_two_numbers(wrong, as_a_reader):  # noqa: ARG001
    with pytest.raises(TypeError, match="^pixel_range must be two numbers"):
        attack(lambda x: x.flatten(1).sum(dim=1), random_images(), L2Ball(0.7), pixel_range=wrong)
