"""The explorables in a real browser: right numbers, every control by mouse and key, for everybody, and no request."""

import json
import re
from html import escape

import numpy as np
import pytest
import torch

from tests.browsers import serious_findings
from tools.explorables import collapse
from tutorial_lib.architecture import Architecture
from tutorial_lib.book.digit_network import digit_network
from tutorial_lib.book.experiments import exact_stability
from tutorial_lib.book.explorables import STILLS, element, scripts_of, show
from tutorial_lib.bounds import lazy_rate
from tutorial_lib.laziness import empirical_tangent_kernel, lazy_ratio
from tutorial_lib.models import ReLUMLP
from tutorial_lib.stability import perturbation_stability
from tutorial_lib.training import train

DESKTOP, PHONE, PROJECTOR = (900, 800), (390, 844), (1280, 720)
EVERY = pytest.mark.parametrize("name", list(STILLS))

pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(browser, tmp_path):
    """Open a page from a file, with an explorable and its scripts; fail if it complains or asks for anything else."""
    complaints, tabs = [], []

    def open_it(name, *, size=DESKTOP, theme="light", scripts=True, fault=("", ""), motion="reduce", copies=1):
        inline = "".join(f"<script>{script.replace(*fault)}</script>" for script in scripts_of(name))
        text = (element(name) + inline) * copies
        page = tmp_path / f"{name}.html"
        page.write_text(f'<html lang="en" data-theme="{theme}"><title>t</title><main><h1>t</h1>{text}</main></html>')
        context = browser.new_context(
            viewport=dict(zip(("width", "height"), size, strict=True)),
            java_script_enabled=scripts,
            reduced_motion=motion,
            has_touch=size == PHONE,
        )
        tab = context.new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on(
            "request",
            lambda request: (
                complaints.append(request.url) if request.url[:5] not in ("file:", "data:", "blob:") else None
            ),
        )
        tab.goto(page.as_uri())
        tabs.append(tab)
        return tab

    yield open_it
    for tab in tabs:
        tab.context.close()
    assert complaints == []


def numbers(tab, name):
    return json.loads(tab.evaluate(f"JSON.stringify(document.querySelector('companion-{name}').numbers)"))


@EVERY
@pytest.mark.parametrize("size", [DESKTOP, PHONE, PROJECTOR])
def test_it_fits_its_screen_and_draws_something(name, size, open_page):
    tab = open_page(name, size=size)
    tab.wait_for_function(f"document.querySelector('companion-{name}').running")
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    box = tab.locator(f"companion-{name} .stage").bounding_box()
    assert box["height"] > 150 and box["width"] > 250
    assert tab.locator(f"companion-{name} .says").inner_text()


@EVERY
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(name, theme, open_page):
    tab = open_page(name, theme=theme)
    tab.evaluate("theme => { document.body.style.background = theme === 'dark' ? '#121212' : 'white'; }", theme)
    assert serious_findings(tab) == []


@EVERY
def test_without_scripts_and_on_paper_the_still_picture_is_shown(name, open_page):
    tab = open_page(name, scripts=False)
    assert tab.locator("img").is_visible()
    tab = open_page(name)
    assert not tab.locator("img").is_visible()
    tab.emulate_media(media="print")
    assert tab.locator("img").is_visible() and not tab.locator(f"companion-{name} .explorable").is_visible()


@EVERY
def test_two_in_one_page_get_along_and_an_unseen_one_does_not_run(name, open_page):
    tab = open_page(name, copies=2)
    tab.add_style_tag(content=f"companion-{name}:last-of-type {{ margin-top: 4000px; }}")
    tab.evaluate("scrollTo(0, 0)")
    running = f"[...document.querySelectorAll('companion-{name}')].map(one => one.running)"
    tab.wait_for_function(f"JSON.stringify({running}) === '[true,false]'")
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    tab.wait_for_function(f"JSON.stringify({running}) === '[false,true]'")


@EVERY
def test_every_control_has_a_name_and_answers_to_the_keyboard(name, open_page):
    tab = open_page(name)
    controls = tab.locator(f"companion-{name} .controls").locator("input:visible, button:visible")
    assert controls.count() > 0
    for place in range(controls.count()):
        control = controls.nth(place)
        kind = control.get_attribute("type")
        if kind == "button":
            assert control.inner_text().strip()
        elif kind == "radio":
            assert control.locator("xpath=..").inner_text().strip()
            assert control.locator("xpath=ancestor::fieldset/legend").inner_text().strip()
        else:
            before = control.input_value()
            control.focus()
            tab.keyboard.press("Home" if before == control.get_attribute("max") else "End")
            assert control.input_value() != before and control.get_attribute("aria-valuetext")


@EVERY
def test_every_control_answers_to_a_finger(name, open_page):
    tab = open_page(name, size=PHONE)
    tab.wait_for_function(f"document.querySelector('companion-{name}').running")
    tab.wait_for_function(f"document.querySelector('companion-{name}').says.textContent")
    shadow = f"document.querySelector('companion-{name}').shadowRoot"
    looks = f"{shadow}.querySelector('.explorable').innerHTML"
    controls = tab.locator(f"companion-{name} .controls").locator("input[type=range], .options label, button")
    for control in [one for one in controls.all() if one.is_visible()]:
        if not control.is_visible() or control.locator("input:checked").count():
            continue  # an earlier tap took it away, or it is chosen already
        control.scroll_into_view_if_needed()
        before, box = tab.evaluate(looks), control.bounding_box()
        share = 0.2 if control.evaluate("one => one.type === 'range' && one.value === one.max") else 0.8
        tab.touchscreen.tap(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        tab.wait_for_function(f"before => {looks} !== before", arg=before, timeout=5000)


@EVERY
def test_it_runs_in_a_frame_of_its_own_as_in_colab(name, browser, monkeypatch):
    monkeypatch.delenv("TUTORIAL_LIB_STRICT", raising=False)
    complaints, tab = [], browser.new_page()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.set_content(f'<iframe sandbox="allow-scripts" width="800" height="700" srcdoc="{escape(show(name).data)}">')
    frame = tab.frames[1]
    frame.wait_for_function(f"document.querySelector('companion-{name}')?.running")
    assert frame.locator(f"companion-{name} .stage").bounding_box()["height"] > 150
    tab.close()
    assert complaints == []


# The collapse.


def spread(runs, column):
    """The largest quotient of two curves over the part of the axis that all share, between points in logarithms."""
    curves = [np.array(rows) for rows in runs.values()]
    places = [np.log(curve[:, column]) for curve in curves]
    low, high = max(place.min() for place in places), min(place.max() for place in places)
    grid = np.linspace(low, high, 101)
    order = [np.argsort(place) for place in places]
    values = [np.interp(grid, p[o], c[o, 3]) for p, o, c in zip(places, order, curves, strict=True)]
    return float((np.max(values, axis=0) / np.min(values, axis=0)).max())


@pytest.mark.parametrize(("scheme", "depth", "method"), [("he", 4, "flow"), ("ntk", 8, "flow"), ("lecun", 2, "Adam")])
def test_the_collapse_says_how_far_the_stored_curves_are_apart(scheme, depth, method, open_page):
    tab = open_page("collapse")
    for value in (scheme, depth, method):
        tab.locator(f"companion-collapse input[value='{value}']").check(force=True)
    runs, found = collapse()[f"{scheme}/{depth}/{method}"], numbers(tab, "collapse")
    assert found["loss"] == pytest.approx(spread(runs, 0), rel=1e-9)
    if all((np.diff([row[1] for row in rows]) > 0).all() for rows in runs.values()):
        assert found["steps"] == pytest.approx(spread(runs, 1), rel=1e-9)


def test_turning_the_axis_by_keyboard_says_the_number(open_page):
    tab = open_page("collapse")
    tab.locator("companion-collapse input[value='steps']").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    says = tab.locator("companion-collapse .says")
    tab.wait_for_function(
        "document.querySelector('companion-collapse').says.textContent.startsWith('At the same training')"
    )
    apart = float(re.search(r"up to ([\d.]+) times", says.inner_text()).group(1))
    assert apart == round(numbers(tab, "collapse")["loss"], 1)


def test_only_what_has_been_run_is_offered(open_page):
    tab = open_page("collapse")
    tab.locator("companion-collapse input[value='6']").check(force=True)
    assert not tab.locator("companion-collapse input[value='Adam']").is_visible()
    tab.locator("companion-collapse input[value='2']").check(force=True)
    tab.locator("companion-collapse input[value='Adam']").check(force=True)
    assert not tab.locator("companion-collapse input[value='time']").is_visible()


@pytest.mark.parametrize(
    "fault", [("Math.log(a[column])", "a[column]"), ("largest = 1", "largest = 2.5"), ("stability: 3", "stability: 0")]
)
def test_a_planted_fault_in_the_collapse_is_seen(fault, open_page):
    tab = open_page("collapse", fault=fault)
    runs = collapse()["he/4/flow"]
    assert numbers(tab, "collapse")["loss"] != pytest.approx(spread(runs, 0), rel=1e-9)


# Random networks against the law.


LAW = "customElements.get('companion-law')"


@pytest.mark.parametrize("scheme", ["lecun", "he", "ntk"])
@pytest.mark.parametrize("sizes", [(1, 1, 2), (2, 3, 3), (64, 32, 4), (256, 128, 10)])
def test_the_law_and_the_rate_are_those_of_the_package(scheme, sizes, open_page):
    tab = open_page("law")
    dim, width, depth = sizes
    shape = Architecture(input_dim=dim, width=width, depth=depth)
    arguments = f"('{scheme}', {{d: {dim}, m: {width}, L: {depth}}})"
    assert tab.evaluate(f"{LAW}.exact{arguments}") == pytest.approx(exact_stability(scheme, shape), rel=1e-9)
    assert tab.evaluate(f"{LAW}.rate{arguments}") == pytest.approx(lazy_rate(scheme, shape), rel=1e-9)


def slide(tab, name, value):
    """Set a slider as a pointer would leave it."""
    script = "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', { bubbles: true })); }"
    tab.get_by_label(name).first.evaluate(script, value)


def drawn(tab):
    tab.wait_for_function("document.querySelector('companion-law').numbers.networks === 300", timeout=60_000)
    return numbers(tab, "law")


@pytest.mark.parametrize(("scheme", "sizes"), [("he", (6, 5, 4)), ("ntk", (2, 3, 2)), ("lecun", (3, 4, 6))])
def test_the_mean_of_the_drawn_networks_is_the_exact_value(scheme, sizes, open_page):
    tab = open_page("law")
    for name, value in zip(("inputs d", "width m", "depth L"), sizes, strict=True):
        slide(tab, name, value)
    tab.locator(f"companion-law input[value='{scheme}']").check(force=True)
    found = drawn(tab)
    shape = Architecture(input_dim=2 ** sizes[0], width=2 ** sizes[1], depth=sizes[2])
    assert found["exact"] == pytest.approx(exact_stability(scheme, shape), rel=1e-9)
    assert abs(found["mean"] - found["exact"]) < 4 * found["error"] < found["exact"] / 2


def test_a_seed_draws_the_same_networks_again_and_the_button_others(open_page):
    one, other = (drawn(open_page("law")) for _ in range(2))
    assert one == other
    tab = open_page("law")
    drawn(tab)
    tab.get_by_role("button", name="draw others").click()
    assert drawn(tab)["mean"] != one["mean"]


def test_the_constant_that_lifts_the_rate_is_the_smallest_that_does(open_page):
    tab = open_page("law")
    tab.locator("companion-law input[value='bound']").check(force=True)
    widths = sorted({round(2 ** (k / 4)) for k in range(41)})
    shapes = [Architecture(input_dim=64, width=m, depth=4) for m in widths]
    least = max(exact_stability("he", shape) / lazy_rate("he", shape) for shape in shapes)
    assert numbers(tab, "law")["constant"] == pytest.approx(least, rel=1e-9)
    for constant, words in ((least * 0.98, "no bound yet"), (least * 1.02, "above the exact value")):
        tab.get_by_label("the hidden constant C").evaluate("input => { input.step = 'any'; }")
        slide(tab, "the hidden constant C", float(np.log10(constant)))
        tab.wait_for_function(
            "words => document.querySelector('companion-law').says.textContent.includes(words)", arg=words
        )


@pytest.mark.parametrize(
    "fault",
    [
        ("(k + 1) / k", "(k + 2) / k"),
        ('scheme === "he" ? 2', 'scheme === "he" ? 1'),
        ("(L - 1)", "L"),
        ("layers[l][i] <= 0", "layers[l][i] <= -1e9"),
    ],
)
def test_a_planted_fault_in_the_law_is_seen(fault, open_page):
    found = drawn(open_page("law", fault=fault))
    right = exact_stability("he", Architecture(input_dim=64, width=32, depth=4))
    as_before = found["exact"] == pytest.approx(right, rel=1e-9)
    assert not (as_before and abs(found["mean"] - right) < 4 * found["error"])


# Neurons that travel.


NEURONS = "document.querySelector('companion-neurons')"
FIVE_POINTS = torch.tensor([[x, 1.0] for x in (-1, -0.5, 0, 0.5, 1)], dtype=torch.float64)
FIVE_LABELS = torch.tensor([0.6, -0.4, -0.1, 0.3, -0.3], dtype=torch.float64)


def as_network(neurons):
    rows = torch.tensor(neurons, dtype=torch.float64)
    return ReLUMLP.from_weights([rows[:, :2], rows[:, 2].reshape(1, -1)])


def after(tab, steps, exponent=None):
    """Train in the page; return what the element says of itself then."""
    if exponent is not None:
        tab.evaluate(f"{NEURONS}.exponent.value = {exponent}; {NEURONS}.restart()")
    tab.evaluate(f"{NEURONS}.train({steps}); {NEURONS}.redraw()")
    return numbers(tab, "neurons")


def own_numbers(found):
    start, network = as_network(found["first"]), as_network(found["neurons"])
    kernel = empirical_tangent_kernel(network, FIVE_POINTS, FIVE_POINTS)
    return {
        "loss": (network(FIVE_POINTS) - FIVE_LABELS).square().mean().item() / 2,
        "ratio": lazy_ratio(start, network).item(),
        "stability": perturbation_stability(network, FIVE_POINTS).mean,
        "curvature": torch.linalg.eigvalsh(kernel)[-1].item() / 5,
    }


@pytest.mark.parametrize("exponent", [0, -0.5, -1.2])
def test_a_training_step_and_its_numbers_are_those_of_the_package(exponent, open_page):
    tab = open_page("neurons")
    before = after(tab, 200, exponent)
    own = own_numbers(before)
    for name in ("loss", "ratio", "stability"):
        assert before[name] == pytest.approx(own[name], rel=1e-9)
    assert before["curvature"] == pytest.approx(own["curvature"], rel=0.02)  # twenty steps of the power method
    network, rate = as_network(before["neurons"]), 1 / max(before["curvature"], 0.5)
    train(network, FIVE_POINTS, FIVE_LABELS, learning_rate=rate, num_steps=1)
    ours, theirs = (
        [weight.detach() for weight in net.weights] for net in (network, as_network(after(tab, 1)["neurons"]))
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_large_weights_train_lazily_and_small_ones_travel(open_page):
    tab = open_page("neurons")
    lazy, rich = (after(tab, 3000, exponent) for exponent in (0, -1.2))
    assert lazy["ratio"] < 0.1 and rich["ratio"] > 10
    assert max(lazy["loss"], rich["loss"]) < 1e-4
    assert after(tab, 0, 0)["loss"] == pytest.approx(FIVE_LABELS.square().mean().item() / 2)  # f is 0 at the start


NEVER_DONE = ("1e-4", "-1")  # in place of the loss at which training ends: a fast machine is done in a moment


def test_the_button_trains_and_pauses(open_page):
    tab = open_page("neurons", motion="no-preference", fault=NEVER_DONE)
    tab.get_by_role("button", name="train").click()
    tab.wait_for_function(f"{NEURONS}.steps > 50")
    tab.get_by_role("button", name="pause").click()
    steps = numbers(tab, "neurons")["steps"]
    tab.wait_for_timeout(200)
    assert numbers(tab, "neurons")["steps"] == steps
    tab.get_by_role("button", name="start again").click()
    assert numbers(tab, "neurons")["steps"] == 0


def test_training_ends_when_the_points_are_met(open_page):
    tab = open_page("neurons", motion="no-preference")
    tab.get_by_role("button", name="train").click()
    tab.wait_for_function(f"{NEURONS}.steps > 50 && !{NEURONS}.training")
    assert numbers(tab, "neurons")["loss"] <= 1e-4
    assert tab.get_by_role("button", name="train").is_visible()


def test_a_training_that_is_not_seen_rests(open_page):
    tab = open_page("neurons", motion="no-preference", fault=NEVER_DONE)
    tab.add_style_tag(content="body { padding-bottom: 4000px; }")
    tab.get_by_role("button", name="train").click()
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    tab.wait_for_function(f"!{NEURONS}.running")
    steps = numbers(tab, "neurons")["steps"]
    tab.wait_for_timeout(300)
    assert numbers(tab, "neurons")["steps"] == steps
    tab.evaluate("scrollTo(0, 0)")
    tab.wait_for_function(f"{NEURONS}.steps > {steps}")


@pytest.mark.parametrize(
    "fault", [("z > 0", "z > -9"), ("da += errors[i] * z", "da += errors[i]"), ("(2 / 3)", "(3 / 4)")]
)
def test_a_planted_fault_in_the_neurons_is_seen(fault, open_page):
    tab = open_page("neurons", fault=fault)
    before = after(tab, 200, -0.5)
    own, network = own_numbers(before), as_network(before["neurons"])
    rate = 1 / max(before["curvature"], 0.5)
    train(network, FIVE_POINTS, FIVE_LABELS, learning_rate=rate, num_steps=1)
    stepped = as_network(after(tab, 1)["neurons"])
    same_step = all(
        torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(network.weights, stepped.weights, strict=True)
    )
    assert not (same_step and before["stability"] == pytest.approx(own["stability"], rel=1e-9))


# A disc through a network.


DISC = "document.querySelector('companion-disc')"


def through(weights, x, layers):
    """What stands after so many weight matrices, a relu behind each but the last of all."""
    for place, weight in enumerate(weights[:layers]):
        x = x @ torch.tensor(weight, dtype=torch.float64).T
        x = x if place == len(weights) - 1 else x.relu()
    return x


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("layers", [0, 1, 3, 4])
@pytest.mark.parametrize("radius", [0.02, 0.6])
def test_the_disc_is_moved_as_torch_moves_it(width, layers, radius, open_page):
    tab = open_page("disc")
    tab.evaluate(
        f"{DISC}.width.value = {width}; {DISC}.layers.value = {layers}; {DISC}.radius.value = {radius}; {DISC}.anew()"
    )
    found = numbers(tab, "disc")
    x = torch.tensor([found["input"]], dtype=torch.float64)
    rings, spokes = torch.meshgrid(torch.arange(6), torch.arange(96), indexing="ij")
    angles = 2 * torch.pi * spokes.double() / 96
    lengths = 2 / 3 * ((rings + 1).double() ** 1.5 - rings.double() ** 1.5) / 6**0.5
    disc = torch.stack([lengths * angles.cos(), lengths * angles.sin()], dim=-1).reshape(-1, 2)
    moved = through(found["weights"], x + radius * disc, layers) - through(found["weights"], x, layers)
    assert found["truth"] == pytest.approx(moved.norm(dim=1).mean().item() / radius, rel=1e-7)

    class Part(torch.nn.Module):
        def forward(self, rows):
            return through(found["weights"], rows, layers)

    assert found["linear"] == pytest.approx(perturbation_stability(Part().eval(), x).mean, rel=1e-6, abs=1e-12)


def test_a_small_disc_moves_as_its_linear_image_does(open_page):
    tab = open_page("disc")
    tab.evaluate(f"{DISC}.radius.value = 0.02; {DISC}.redraw()")
    found = numbers(tab, "disc")
    assert found["truth"] == pytest.approx(found["linear"], rel=1e-6)


def test_the_input_moves_by_key_and_by_pointer(open_page):
    tab = open_page("disc")
    plane = tab.locator("companion-disc svg").first
    plane.focus()
    before = numbers(tab, "disc")["input"]
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowUp")
    assert numbers(tab, "disc")["input"] == pytest.approx([before[0] + 0.1, before[1] + 0.1])
    box = plane.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"])
    tab.mouse.up()
    assert numbers(tab, "disc")["input"] == pytest.approx([1, -1], abs=0.03)


def test_another_network_is_another_and_a_seed_the_same(open_page):
    tab, other = open_page("disc"), open_page("disc")
    assert numbers(tab, "disc") == numbers(other, "disc")
    tab.get_by_role("button", name="another network").click()
    assert numbers(tab, "disc")["weights"] != numbers(other, "disc")["weights"]


@pytest.mark.parametrize(
    "fault", [("Math.max(0, entry)", "entry"), ("l === DEPTH - 1 ? next", "l === DEPTH ? next"), ("(2 / 3)", "(3 / 4)")]
)
def test_a_planted_fault_in_the_disc_is_seen(fault, open_page):
    found = numbers(open_page("disc", fault=fault), "disc")
    right = numbers(open_page("disc"), "disc")
    assert found["truth"] != pytest.approx(right["truth"], rel=1e-6) or found["linear"] != pytest.approx(
        right["linear"]
    )


# Fool the network.


def test_the_logits_and_the_chosen_change_are_those_of_the_package(open_page):
    tab = open_page("fool")
    network = digit_network()
    for digit in ("0", "7"):
        tab.locator(f"companion-fool input[value='{digit}']").check(force=True)
        slide(tab, "change of each pixel", 0.13)
        found = numbers(tab, "fool")
        plain, _, chosen = images = torch.tensor(found["variants"], dtype=torch.float64)
        torch.testing.assert_close(network(images), torch.tensor(found["logits"]).double(), rtol=0, atol=1e-5)
        leaf = plain.clone().requires_grad_()
        logits = network(leaf.unsqueeze(0))
        torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1)).backward()
        torch.testing.assert_close(chosen, (plain + 0.13 * leaf.grad.sign()).clamp(0, 1), rtol=0, atol=1e-12)
        assert network(plain.unsqueeze(0)).argmax().item() == int(digit)


def test_at_a_tenth_of_the_range_most_digits_are_misread_after_the_chosen_change_only(open_page):
    tab = open_page("fool")
    random, chosen = 0, 0
    for digit in range(10):
        tab.locator(f"companion-fool input[value='{digit}']").check(force=True)
        answers = [int(np.argmax(logits)) for logits in numbers(tab, "fool")["logits"]]
        random += answers[1] != digit
        chosen += answers[2] != digit
    assert random <= 1 and chosen >= 8


def test_one_draws_by_pointer_and_erases_by_button(open_page):
    tab = open_page("fool")
    tab.get_by_role("button", name="draw your own").click()
    assert sum(numbers(tab, "fool")["variants"][0]) == 0
    box = tab.locator("companion-fool canvas.own").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.15 * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.85 * box["height"], steps=8)
    tab.mouse.up()
    found = numbers(tab, "fool")
    assert sum(found["variants"][0]) > 30
    assert int(np.argmax(found["logits"][0])) == 1


@pytest.mark.parametrize(
    "fault",
    [
        ("Math.max(0, sum)", "sum"),
        ("value * scale", "value * scale * 1.01"),
        ("k === answer ? 1 : 0", "k === 0 ? 1 : 0"),
    ],
)
def test_a_planted_fault_in_the_reader_is_seen(fault, open_page):
    found = numbers(open_page("fool", fault=fault), "fool")
    right = numbers(open_page("fool"), "fool")
    assert not np.allclose(found["logits"], right["logits"], rtol=0, atol=1e-5)
