"""What must agree for a fresh clone to work: pins, environments, notebooks, documented commands."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


# --- one source for versions ----------------------------------------------------------------------

# What conda calls the same package, or the part of it that leaves out Qt and report generators.
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "seaborn": "seaborn-base",
    "snakemake": "snakemake-minimal",
    "torch": "pytorch",
}


def test_conda_environment_has_the_dependencies_and_ranges_of_pyproject():
    wanted = {"python": SpecifierSet(PROJECT["requires-python"]), "pip": SpecifierSet()}
    for dependency in map(Requirement, PROJECT["dependencies"]):
        wanted[CONDA_NAMES.get(dependency.name, dependency.name)] = dependency.specifier

    *conda, pip = yaml.safe_load(read("environment.yml"))["dependencies"]
    assert {n: SpecifierSet(r) for n, _, r in (line.partition(" ") for line in conda)} == wanted
    assert pip == {"pip": ["-e ."]}


# Files of repo2docker that would be read as well and bring another environment.
OTHER_BINDER_FILES = {"requirements.txt", "runtime.txt", "apt.txt", "Dockerfile", "setup.py"}


def test_binder_has_the_conda_environment_and_one_version_of_python():
    whole, binder = (
        yaml.safe_load(read(name)) for name in ("environment.yml", ".binder/environment.yml")
    )
    assert binder["channels"] == whole["channels"]
    *conda, pip = whole["dependencies"]
    given = {name: ranged for name, _, ranged in (d.partition(" ") for d in conda)}
    python = re.fullmatch(r"=(\d\.\d+)", next(d for d in binder["dependencies"])[7:])
    # what repo2docker's own pattern finds; a range would mean its default, which is too old
    assert python[1] in SpecifierSet(given.pop("python"))
    assert binder["dependencies"][1:] == [f"{n} {r}".strip() for n, r in given.items()]
    assert pip == {"pip": ["-e ."]}  # postBuild's part
    assert not OTHER_BINDER_FILES & {path.name for path in (ROOT / ".binder").iterdir()}
    assert not (ROOT / "binder").exists()  # the two exclude each other


def test_binder_installs_the_package_and_starts_what_it_is_told_to():
    assert "pip install --no-cache-dir --no-deps -e ." in read(".binder/postBuild")
    assert read(".binder/start").splitlines()[-1] == 'exec "$@"'
    for name in ("postBuild", "start"):
        assert os.access(ROOT / ".binder" / name, os.X_OK)
        subprocess.run(["bash", "-n", ROOT / ".binder" / name], check=True)


def test_binder_opens_a_notebook_that_there_is():
    (opened,) = set(re.findall(r"urlpath=lab/tree/([\w/.]+)", read("README.md")))
    assert (ROOT / opened).is_file()


def pins():
    """Pinned versions by package; several where they depend on Python's version."""
    versions = {}
    for line in read("requirements.txt").splitlines():
        pin = Requirement(line)  # refuses options, and with them --index-url
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), line
        versions.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier)[2:])
    return versions


def test_every_direct_dependency_has_a_pin_within_its_range():
    pinned = pins()
    direct = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    for wanted in map(Requirement, direct):
        found = pinned.get(canonicalize_name(wanted.name), [])
        assert found, f"{wanted.name} has no pin: run `make pins`"
        assert all(version in wanted.specifier for version in found), f"{wanted}, pinned {found}"


def test_makefile_accepts_the_pythons_of_pyproject():
    check = r"\((\d+), (\d+)\) <= sys\.version_info < \((\d+), (\d+)\)"
    accepted = re.search(check, read("Makefile")).expand(r">=\1.\2,<\3.\4")
    assert SpecifierSet(accepted) == SpecifierSet(PROJECT["requires-python"])


def test_citation_and_pyproject_state_one_version():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == PROJECT["version"]


# --- nothing of the machine it was written on -----------------------------------------------------

# In pieces, so that this file does not contain what it forbids.
HOSTS = ["py" + "pi.org", "python" + "hosted.org", "anaconda" + ".org", "pytorch" + ".org/whl"]
FOLDERS = ["home", "root", "Users", "private", "opt", "work", "farm"]
# A folder counts at the start of a path only: not in `docs/home/`, `$ROOT/home/` or an address.
FORBIDDEN = re.compile(rf"{'|'.join(HOSTS)}|(?<![\w.~}})-])/(?:{'|'.join(FOLDERS)})/".encode())


def test_no_file_names_a_registry_or_a_path_of_a_machine():
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("only git knows which files belong to the repository")
    # safe.directory: a checkout that belongs to another user is read all the same.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    kinds = ["--cached", "--others", "--exclude-standard"]
    listing = subprocess.run([*git, *kinds], cwd=ROOT, check=True, capture_output=True).stdout
    paths = {ROOT / os.fsdecode(name) for name in listing.split(b"\0") if name}
    assert ROOT / "pyproject.toml" in paths

    assert not {
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in paths
        if path.is_file()  # git still lists a deleted file until the deletion is staged
        for match in FORBIDDEN.finditer(path.read_bytes())
    }


@pytest.mark.parametrize("text", ["https://" + HOSTS[0], '"/' + 'home/me/x"', "file:///" + "opt/x"])
def test_what_is_forbidden_would_be_found(text):
    assert FORBIDDEN.search(text.encode())


# --- notebooks ------------------------------------------------------------------------------------

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_to_check():
    if not (ROOT / "notebooks").is_dir():
        pytest.skip("no notebooks/ yet")
    assert NOTEBOOKS


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_notebook_runs_on_the_kernel_that_everyone_has(notebook):
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_notebook_has_one_parameters_cell(notebook):
    tagged = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert [c["cell_type"] for c in tagged] == ["code"]


def test_notebook_stores_nothing_that_a_run_left_behind(notebook):
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    ran = [c["source"] for c in code if c["outputs"] or c["execution_count"] is not None]
    assert not ran, "outputs are stored: `.venv/bin/pre-commit run nbstripout --all-files`"


# --- the two commands -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["make study", "make test"])
def test_readme_names_the_command(command):
    assert command in read("README.md")


def test_ci_runs_the_test_command_of_the_readme_first_and_then_what_needs_more():
    lines = [line for line in read(".ci/run").splitlines() if not line.startswith("#")]
    first = lines.index("make test")
    assert all(line.startswith(("set -e", "cd ")) for line in lines[:first])
    made = [line.split() for line in lines if line.strip().startswith("make ")]
    targets = ("test", "test-kubernetes", "test-browser", "test-slurm")
    assert made == [["make", target] for target in targets]
    assert "|| true" not in "".join(line for line in lines if "make " in line)
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_every_package_is_installed():
    """A folder that pyproject.toml forgets works here and is missing from a wheel."""
    folders = {path.parent for path in (ROOT / "spotter_core").rglob("__init__.py")}
    wanted = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders}
    listed = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["packages"]
    assert set(listed) == wanted
