"""Tests of the files for contributors: workflows, hooks and forms of issues."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_workflows_can_only_read():
    assert WORKFLOWS
    for path in WORKFLOWS:
        workflow = read_yaml(path)
        assert workflow["permissions"] == {"contents": "read"}
        assert not [job for job in workflow["jobs"].values() if "permissions" in job]


def test_actions_are_pinned():
    uses = [
        name
        for path in WORKFLOWS
        for name in re.findall("uses: (.+)", path.read_text())
    ]
    assert uses
    assert not [name for name in uses if not re.fullmatch(r".+@v\d+\.\d+\.\d+", name)]


def test_workflows_test_every_python_that_is_promised():
    workflow = read_yaml(REPOSITORY / ".github" / "workflows" / "ci.yml")
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: 3."
    promised = [c.split()[-1] for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert tested == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_make_has_every_target_of_the_workflows():
    paths = [*WORKFLOWS, REPOSITORY / ".ci" / "run"]
    text = "\n".join(path.read_text() for path in paths)
    named = set(re.findall(r"(?:^|run: )make ([a-z-]+)", text, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert named >= {"test", "lint", "docs"}
    assert named <= targets


def test_hooks_run_the_locked_ruff():
    config = read_yaml(REPOSITORY / ".pre-commit-config.yaml")
    revisions = {
        repo["repo"].split("/")[-1]: repo.get("rev") for repo in config["repos"]
    }
    lock = (REPOSITORY / "requirements.lock").read_text()
    locked = re.search(r"^ruff==(\S+)", lock, re.MULTILINE)
    assert locked is not None
    assert revisions["ruff-pre-commit"] == f"v{locked[1]}"


def test_forms_ask_for_something():
    assert len(FORMS) == 4
    for path in FORMS:
        form = read_yaml(path)
        assert form.keys() >= {"name", "description", "body"}
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
