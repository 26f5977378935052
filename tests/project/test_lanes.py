"""Lanes with other versions: what they install, and the one issue that tells of a red one."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.colab_pins import PINS, main, moved, versions
from tools.lanes import requirements

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_newest_lane_pins_nothing_and_the_lowest_takes_every_floor():
    assert not [wanted for wanted in requirements("newest") if "==" in wanted]
    lowest = requirements("lowest")
    assert all("==" in wanted for wanted in lowest)
    assert {"torch==2.9", "numpy==2.0", "ipywidgets==7.7"} <= set(lowest)


def test_colab_moves_are_named_and_suffixes_do_not_count():
    published = versions("torch==2.11.0+cu128\nnumpy==2.2.0\nIPython==7.34.0\nother @ file:///x\n")
    assert moved({"torch": "2.11.0", "numpy": "2.1.3", "ipython": "7.34.0", "tqdm": "4", "nbval": "1"}, published) == [
        "numpy: 2.1.3 here, 2.2.0 in Colab",
        "tqdm: 4 here, no such package in Colab",
    ]


def test_the_lists_are_compared_from_files(tmp_path, capsys):
    same = tmp_path / "same.txt"
    same.write_text(PINS.read_text(encoding="utf-8"), encoding="utf-8")
    main([str(same)])
    assert "is what Colab ships" in capsys.readouterr().out
    same.write_text(re.sub("torch==.*", "torch==9.9.9", same.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"torch: .* here, 9\.9\.9 in Colab"):
        main([str(same)])
    with pytest.raises(SystemExit, match="Name the published list"):
        main([])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_only_pins_its_actions_and_lets_no_step_fail_silently(path):
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in steps if "uses" in step)
    assert "continue-on-error" not in re.sub("#.*", "", text)
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_only_one_job_may_write_to_the_branches_and_only_one_to_the_site():
    jobs = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8"))["jobs"]
    rights = {name: job.get("permissions", {}) for name, job in jobs.items()}
    assert rights == {"build": {}, "branch": {"contents": "write"}, "site": {"pages": "write", "id-token": "write"}}


def test_every_target_of_a_workflow_is_one_of_the_makefile():
    targets = set(re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    targets = {target for line in targets for target in line.split()}
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    named = re.findall(r"run: make ([\w-]+)", text) + re.findall(r"lane: ([\w-]+)", text)
    assert {"stamp", "downloads", "push-published", "colab", "links"} <= set(named)
    assert set(named) <= targets


@pytest.mark.parametrize(
    ("red", "issue", "said"),
    [
        ("- newest", "", "issue create --repo o/n --title Weekly lanes are red"),
        ("- newest", "7", "issue comment 7"),
        ("", "7", "issue close 7"),
        ("", "", None),
    ],
)
def test_red_lanes_open_or_update_one_issue_and_green_ones_close_it(tmp_path, red, issue, said):
    gh = tmp_path / "gh"
    gh.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n'
        f'case "$1 $2" in "run view") printf "%s" "{red}";; "issue list") printf "%s" "{issue}";; esac\n',
        encoding="utf-8",
    )
    gh.chmod(gh.stat().st_mode | stat.S_IEXEC)
    actions = {"GITHUB_REPOSITORY": "o/n", "GITHUB_RUN_ID": "5", "GITHUB_SERVER_URL": "https://github.com"}
    environment = os.environ | actions | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([ROOT / ".github" / "report-lanes"], env=environment, check=True)
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    writes = re.findall(r"^issue (?:create|comment|close).*", calls, re.MULTILINE)
    assert len(writes) == (1 if said else 0)
    assert not said or said in writes[0]
    assert not red or "- newest" in calls
