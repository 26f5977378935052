"""Many small networks: evaluation and training in one batched product against a loop over modules."""

import torch
from contenders import ensemble, evaluations, inputs
from interleave import assert_one_thread, interleaved, ratios, summary
from trainers import STEPS, trainings

MEMBERS, WIDTH, DEPTH = 64, 16, 4
SETTINGS = {"members": MEMBERS, "input_dim": 64, "width": WIDTH, "depth": DEPTH, "outputs": 1, "dtype": "float32"}


def test_evaluation_of_an_ensemble(benchmark, results, quick):
    assert_one_thread()
    rows = 64
    networks, x = ensemble(members=MEMBERS, width=WIDTH, depth=DEPTH), inputs(rows)
    contenders = evaluations(networks, x)
    ours, loop = contenders["ours, one product for all"](), contenders["ours, one network after another"]()
    assert abs(ours.mean / loop.mean - 1) < 1e-5
    gradients = contenders["stack_module_state + vmap(grad)"]()
    by_loop = torch.stack(contenders["loop over modules, backward"]()).squeeze(2)
    torch.testing.assert_close(gradients, by_loop, rtol=1e-3, atol=1e-4)
    seconds = interleaved(benchmark, contenders, rounds=2 if quick else 31)
    record = {
        "methods": summary(seconds, "ours, one product for all"),
        "settings": SETTINGS | {"rows": rows},
    }
    results["evaluation"] = record
    benchmark.extra_info |= record


def test_training_of_an_ensemble(benchmark, results, quick):
    assert_one_thread()
    rows = 256
    networks, x = ensemble(members=MEMBERS, width=WIDTH, depth=DEPTH), inputs(rows)
    y = torch.sign(x[:, 0])
    contenders = trainings(networks, x, y, 0.01)
    weights = {name: contenders[name]() for name in contenders if name != "bare products"}
    for others in weights.values():
        for ours, other in zip(weights["ours"], others, strict=True):
            torch.testing.assert_close(other, ours, rtol=1e-3, atol=1e-4)
    seconds = interleaved(benchmark, contenders, rounds=2 if quick else 9)
    record = {
        "methods": summary(seconds, "ours"),
        "over_floor": ratios(seconds, "bare products")["ours"],
        "settings": SETTINGS | {"rows": rows, "steps": STEPS},
    }
    results["training"] = record
    benchmark.extra_info |= record
