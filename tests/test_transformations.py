"""Transformations are the moves they are named after, drawn from the stated distribution."""

import pytest
import torch

from tutorial_lib.transformations import Transformations, move


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


def test_pixels_stay_in_their_range_and_noise_has_its_size(generator):
    grey = torch.full((50, 1, 20, 20), 0.5)
    noisy = Transformations(noise_std=0.1).sample(grey, generator=generator)
    # 20000 draws: the standard deviation is known to half a percent.
    assert abs(noisy.std().item() - 0.1) < 0.002 and abs(noisy.mean().item() - 0.5) < 0.003
    wild = Transformations(noise_std=1).sample(grey, generator=generator)
    assert wild.min() == 0 and wild.max() == 1


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


def test_the_same_generator_gives_the_same_images_and_gradients_flow(images):
    everything = Transformations(max_angle=20, max_shift=0.2, max_scale=0.1, noise_std=0.05)
    first = everything.sample(images, generator=torch.Generator().manual_seed(1))
    again = everything.sample(images.requires_grad_(), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(first, again)
    (gradient,) = torch.autograd.grad(again.sum(), images)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("field", "value", "largest"),
    [("max_angle", 181, 180), ("max_shift", -0.1, 2), ("max_scale", 1.0, 0.9), ("noise_std", float("nan"), 1)],
)
def test_amounts_out_of_range_are_refused(field, value, largest):
    with pytest.raises(ValueError, match=f"^{field} must be between 0 and {largest}, got {value}$"):
        Transformations(**{field: value})
