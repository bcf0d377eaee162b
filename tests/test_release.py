"""The files of a release agree with each other and with what is installed."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|GNU|Mozilla|EUPL|CDDL|EPL)", re.IGNORECASE)


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def closure():
    """The distributions that lookcast with all extras installs here, by name."""
    found, pending = {}, [Requirement("lookcast[dev]")]
    while pending:
        requirement = pending.pop()
        key = (requirement.name.lower(), frozenset(requirement.extras))
        if key in found:
            continue
        try:
            found[key] = distribution(requirement.name)
        except PackageNotFoundError:  # an optional part for another system or Python
            continue
        for line in found[key].requires or []:
            needed = Requirement(line)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                pending.append(needed)
    return {name: found for (name, _), found in found.items()}


def licence(package):
    """The licence that a distribution declares in its metadata."""
    declared = package.metadata.get("License-Expression")
    classifiers = [line for line in package.metadata.get_all("Classifier", []) if line.startswith("License ::")]
    return declared or " ".join(classifiers) or (package.metadata.get("License") or "").splitlines()[:1] or ""


class TestChangelog:
    HEADINGS = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)

    def test_newest_version_is_the_version_of_the_project(self):
        assert self.HEADINGS[0] == ("Unreleased", "")
        assert self.HEADINGS[1][0] == project()["version"]

    def test_releases_are_in_order(self):
        dates = [date for _, date in self.HEADINGS[1:]]
        assert dates == sorted(dates, reverse=True)
        assert all(dates)

    def test_kinds_of_changes(self):
        kinds = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_citation_names_the_newest_release():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    version, date = TestChangelog.HEADINGS[1]
    assert (cited["version"], str(cited["date-released"]), cited["license"]) == (version, date, project()["license"])


def test_copyleft_packages_are_named_in_the_docs():
    named = (ROOT / "docs" / "licences.md").read_text("utf-8")
    copyleft = {name for name, package in closure().items() if COPYLEFT.search(str(licence(package)))}
    assert {"tqdm", "pyvips-binary"} <= copyleft  # MPL and LGPL: the search finds them
    assert [name for name in sorted(copyleft) if f"`{name}`" not in named] == []


class TestWorkflow:
    WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))

    def test_scripts_exist(self):
        runs = [step["run"] for job in self.WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]
        scripts = {word for run in runs for word in run.split() if word.startswith(("scripts/", ".ci/"))}
        assert {".ci/run", "scripts/test.sh", "scripts/mutation.py"} <= scripts
        assert [script for script in scripts if not (ROOT / script).is_file()] == []

    @pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")))
    def test_issue_forms_are_yaml(self, file):
        form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / file).read_text("utf-8"))
        assert file == "config.yml" or {"name", "description", "body"} <= form.keys()


def test_pre_commit_runs_the_list_of_checks():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [hook["entry"] for repo in hooks for hook in repo["hooks"]] == ["bash scripts/check.sh"]
    assert "bash scripts/check.sh" in (ROOT / "scripts" / "test.sh").read_text("utf-8")
