"""Transformations are the moves they are named after, drawn from the stated distribution."""

import pytest
import torch

from tutorial_lib.images.transformations import Transformations, move


def moved(images, *, angle=0.0, right=0.0, down=0.0, scale=1.0):
    full = torch.ones(len(images), dtype=images.dtype)
    return move(
        images, angles=angle * full, shifts=torch.stack([right * full, down * full], dim=1), scales=scale * full
    )


@pytest.fixture
def images(generator):
    return torch.rand(3, 2, 8, 8, generator=generator, dtype=torch.float64)


def test_nothing_leaves_an_image_as_it_is(images, generator):
    assert torch.equal(Transformations().sample(images, generator=generator), images)
    torch.testing.assert_close(moved(images), images)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_counter_clockwise(images, quarters):
    torch.testing.assert_close(moved(images, angle=90.0 * quarters), images.rot90(quarters, dims=(2, 3)))


def test_shifts_go_right_and_down_and_leave_black_behind(images):
    # Half of a half side of 8 pixels is 2 pixels.
    expected = torch.zeros_like(images)
    expected[:, :, 4:, 2:] = images[:, :, :-4, :-2]
    torch.testing.assert_close(moved(images, right=0.5, down=1.0), expected)


def test_a_scale_above_one_enlarges(images):
    corners = torch.nn.functional.interpolate(images[:, :, 2:6, 2:6], scale_factor=2, mode="bilinear")
    torch.testing.assert_close(moved(images, scale=2.0)[:, :, 1:-1, 1:-1], corners[:, :, 1:-1, 1:-1])


def test_an_image_is_scaled_then_turned_then_shifted():
    spot = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    spot[0, 0, 4, 6] = 1  # two pixels right of the centre
    # At half size one pixel right; a quarter turn puts it one above; then one right and two down.
    found = moved(spot, scale=0.5, angle=90.0, right=1 / 4.5, down=2 / 4.5)[0, 0]
    assert divmod(int(found.argmax()), 9) == (5, 5)


def test_each_image_gets_a_transformation_of_its_own(generator):
    same = torch.rand(1, 1, 8, 8, generator=generator).expand(5, 1, 8, 8)
    changed = Transformations(max_angle=30).sample(same, generator=generator)
    assert len(torch.unique(changed.flatten(1), dim=0)) == 5


def test_pixels_stay_in_their_range(images, generator):
    everything = Transformations(max_angle=180, max_shift=0.5, max_scale=0.5)
    seen = everything.sample(images.round(), generator=generator)
    assert seen.min() == 0 and 0.9 < seen.max() <= 1


def test_angles_are_uniform_up_to_the_largest(generator):
    # A bar through the centre; its direction is read off from second moments.
    bar = torch.zeros(2000, 1, 33, 33)
    bar[:, :, 15:18] = 1
    turned = Transformations(max_angle=30).sample(bar, generator=generator).squeeze(1)
    axis = torch.arange(33) - 16.0
    xx, yy, xy = (
        (turned * axis**2).sum((1, 2)),
        (turned.mT * axis**2).sum((1, 2)),
        -(turned * axis * axis[:, None]).sum((1, 2)),
    )
    angles = torch.rad2deg(torch.atan2(2 * xy, xx - yy) / 2)
    assert 29 < angles.abs().max() < 31
    # Uniform on [-30, 30]: mean 0, standard deviation 30 / sqrt(3), errors 0.39 and about 0.17.
    assert abs(angles.mean()) < 4 * 0.39 and abs(angles.std() - 30 / 3**0.5) < 1


def centre_and_size(images):
    """Centroid to the right and downwards, and the square root of the mass, of each image."""
    mass, places = images.sum(dim=(1, 2, 3)), torch.arange(images.shape[2], dtype=images.dtype)
    right, down = ((images.sum(dim=axes) * places).sum(dim=1) / mass for axes in ((1, 2), (1, 3)))
    return right - places.mean(), down - places.mean(), mass.sqrt()


def test_shifts_are_uniform_along_each_axis_and_independent(generator):
    spot = torch.zeros(2000, 1, 41, 41, dtype=torch.float64)
    spot[:, :, 19:22, 19:22] = 1
    right, down, _ = centre_and_size(Transformations(max_shift=0.5).sample(spot, generator=generator))
    for shift in (right / 20.5, down / 20.5):
        # Uniform on [-0.5, 0.5]: the standard error of the mean is 0.0065, of the standard deviation 0.003.
        assert 0.49 < shift.abs().max() < 0.51
        assert abs(shift.mean()) < 4 * 0.0065 and abs(shift.std() - 0.5 / 3**0.5) < 4 * 0.003
    assert abs(torch.corrcoef(torch.stack([right, down]))[0, 1]) < 4 / 2000**0.5


def test_scales_are_uniform_and_leave_the_centre(generator):
    square = torch.zeros(2000, 1, 41, 41, dtype=torch.float64)
    square[:, :, 11:30, 11:30] = 1
    right, down, sizes = centre_and_size(Transformations(max_scale=0.5).sample(square, generator=generator))
    scales = sizes / 19
    assert right.abs().max() < 1e-6 and down.abs().max() < 1e-6
    # Uniform on [0.5, 1.5], as above; interpolation changes sizes by less than 0.03.
    assert 0.46 < scales.min() < 0.54 and 1.46 < scales.max() < 1.54
    assert abs(scales.mean() - 1) < 4 * 0.0065 and abs(scales.std() - 0.5 / 3**0.5) < 4 * 0.003


def test_angle_shifts_and_scale_are_independent(generator, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "tutorial_lib.images.transformations.move", lambda images, **amounts: drawn.update(amounts) or images
    )
    everything = Transformations(max_angle=20, max_shift=0.2, max_scale=0.1)
    everything.sample(torch.zeros(2000, 1, 2, 2, dtype=torch.float64), generator=generator)
    amounts = torch.stack([drawn["angles"], *drawn["shifts"].T, drawn["scales"]])
    assert (torch.corrcoef(amounts) - torch.eye(4)).abs().max() < 4 / 2000**0.5


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 4, 8), r"be square, of shape \(batch, channels, side, side\), got \(1, 1, 4, 8\)"),
        ((0, 1, 4, 4), r"have shape \(batch, channels, height, width\) and not be empty, got \(0, 1, 4, 4\)"),
        ((1, 4, 4), r"have shape \(batch, channels, height, width\) and not be empty, got \(1, 4, 4\)"),
    ],
)
def test_images_must_be_square(shape, message, as_a_reader):  # noqa: ARG001
    with pytest.raises(ValueError, match=f"^images must {message}$"):
        moved(torch.zeros(shape))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scales": torch.tensor([1.0, 0.0, 1.0])}, "^scales must be > 0, got 0$"),
        ({"scales": torch.tensor([1.0, float("nan"), 1.0])}, "^scales must be finite, got nan or infinity$"),
        ({"angles": torch.full((3,), float("inf"))}, "^angles must be finite, got nan or infinity$"),
        ({"angles": torch.zeros(2)}, r"^angles must have shape \(3,\), got \(2,\)$"),
        ({"shifts": torch.zeros(2, 3)}, r"^shifts must have shape \(3, 2\), got \(2, 3\)$"),
    ],
)
def test_amounts_must_fit_the_images(wrong, message, images, as_a_reader):  # noqa: ARG001
    amounts = {"angles": torch.zeros(3), "shifts": torch.zeros(3, 2), "scales": torch.ones(3)} | wrong
    with pytest.raises(ValueError, match=message):
        move(images, **amounts)


def test_a_sample_needs_images_and_a_generator(images, as_a_reader):  # noqa: ARG001
    for transformations in (Transformations(), Transformations(max_angle=30)):
        with pytest.raises(TypeError, match="^generator must be a torch.Generator, .* got None$"):
            transformations.sample(images, generator=None)
        with pytest.raises(ValueError, match="^images must be finite, got nan or infinity$"):
            transformations.sample(images * torch.nan, generator=torch.Generator())


def test_the_same_generator_gives_the_same_images_and_gradients_flow(images):
    everything = Transformations(max_angle=20, max_shift=0.2, max_scale=0.1)
    first = everything.sample(images, generator=torch.Generator().manual_seed(1))
    again = everything.sample(images.requires_grad_(), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(first, again)
    (gradient,) = torch.autograd.grad(again.sum(), images)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("pixel", [0.0, 1.0])
def test_black_and_white_pixels_have_the_derivative_of_grey_ones(pixel):
    views, gradients = Transformations(max_angle=20, max_shift=0.2, max_scale=0.1), []
    for value in (pixel, 0.5):
        images = torch.full((3, 1, 9, 9), value, dtype=torch.float64, requires_grad=True)
        seen = views.sample(images, generator=torch.Generator().manual_seed(2))
        gradients += torch.autograd.grad(seen.sum(), images)
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    ("field", "value", "largest"),
    [("max_angle", 181, 180), ("max_shift", -0.1, 2), ("max_scale", 1.0, 0.9)],
)
def test_amounts_out_of_range_are_refused(field, value, largest):
    with pytest.raises(ValueError, match=f"^{field} must be between 0 and {largest}, got {value}$"):
        Transformations(**{field: value})
    with pytest.raises(ValueError, match=f"^{field} must be a finite number, got nan$"):
        Transformations(**{field: float("nan")})
