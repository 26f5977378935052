"""The sizes of a network as one value: what it refuses, keeps and gives."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from tutorial_lib.architecture import Architecture, require_architecture

SIZES = {"input_dim": 5, "width": 7, "depth": 3, "output_dim": 2}
SHAPE = Architecture(**SIZES)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input_dim": 0}, r"^input_dim must be an integer >= 1, got 0$"),
        ({"width": -2}, r"^width must be an integer >= 1, got -2$"),
        ({"depth": 1}, r"^depth counts weight matrices and must be >= 2, got 1$"),
        ({"output_dim": 0}, r"^output_dim must be an integer >= 1, got 0$"),
    ],
)
def test_a_size_out_of_range_is_refused_by_its_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**(SIZES | wrong))
    with pytest.raises(ValueError, match=message):
        SHAPE.replace(**wrong)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [7.5, 7.0, "7", True, None])
@pytest.mark.usefixtures("as_a_reader")
def test_a_size_that_is_no_integer_is_refused_by_its_name(name, value):
    least = 2 if name == "depth" else 1
    with pytest.raises(TypeError, match=rf"^{name} must be an integer >= {least}, got {value!r}$"):
        Architecture(**(SIZES | {name: value}))
    with pytest.raises(TypeError, match=rf"^{name} must be an integer >= {least}, got {value!r}$"):
        SHAPE.replace(**{name: value})


@pytest.mark.usefixtures("as_a_reader")
def test_integers_of_numpy_become_those_of_python():
    shape = Architecture(**{name: np.int32(size) for name, size in SIZES.items()})
    assert shape == SHAPE
    assert {type(size) for size in vars(shape).values()} == {int}
    assert type(SHAPE.replace(width=np.int8(100)).width) is int


def test_the_smallest_network_has_one_of_each_and_two_matrices():
    assert Architecture(input_dim=1, width=1, depth=2) == Architecture(input_dim=1, width=1, depth=2, output_dim=1)


@pytest.mark.parametrize("name", SIZES)
def test_replace_changes_the_size_named_and_no_other(name):
    assert vars(SHAPE.replace(**{name: 9})) == SIZES | {name: 9}
    assert vars(SHAPE) == SIZES


def test_replace_refuses_names_that_are_no_sizes():
    with pytest.raises(
        ValueError, match=r"^sizes must be among input_dim, width, depth, output_dim, got height, layers$"
    ):
        SHAPE.replace(layers=3, width=4, height=2)


@pytest.mark.usefixtures("as_a_reader")
def test_sizes_have_names_and_cannot_be_changed():
    with pytest.raises(TypeError, match="positional"):
        Architecture(5, 7, 3, 2)
    with pytest.raises(TypeError, match="layers"):
        Architecture(**SIZES, layers=3)
    with pytest.raises(FrozenInstanceError):
        SHAPE.width = 8


def test_equal_sizes_are_one_value():
    assert {SHAPE, Architecture(**SIZES), SHAPE.replace(depth=4)} == {SHAPE, SHAPE.replace(depth=4)}
    assert repr(SHAPE) == "Architecture(input_dim=5, width=7, depth=3, output_dim=2)"


@pytest.mark.parametrize(("depth", "sizes"), [(2, [5, 7, 2]), (3, [5, 7, 7, 2]), (6, [5, 7, 7, 7, 7, 7, 2])])
def test_layer_sizes_go_from_the_input_to_the_output(depth, sizes):
    assert SHAPE.replace(depth=depth).layer_sizes == sizes


def test_the_sizes_needed_are_asked_for_by_name():
    require_architecture(SHAPE, **SIZES)
    with pytest.raises(
        ValueError, match=r"^architecture must have output_dim 1 here, got Architecture\(.*output_dim=2"
    ):
        require_architecture(SHAPE, input_dim=5, output_dim=1)
    with pytest.raises(ValueError, match=r"^architecture must have depth 4 here, got Architecture\("):
        require_architecture(SHAPE, depth=4)


@pytest.mark.parametrize(("value", "shown"), [(None, "None"), (SIZES, r"\{'input_dim': 5"), (Architecture, "<class")])
@pytest.mark.usefixtures("as_a_reader")
def test_another_value_is_no_architecture(value, shown):
    with pytest.raises(TypeError, match=rf"^architecture must be an Architecture, got {shown}"):
        require_architecture(value)
