"""The architecture: which file may import which, and what each may pull in."""

import ast
import re
import subprocess
import sys

import pytest

import spotter_core
from spotter_core.sources import PACKAGE, ROOT, imported_modules

# A file imports only from layers below its own. Change the docstrings with this table: that of the
# package, and the layer that a file says it is in.
LAYERS = [
    [
        "once",
        "files",
        "frontends",
        "runtime",
        "memory",
        "_checks",
        "sources",
        "usage",
        "cards",
        "outages",
    ],
    [
        "divergence",
        "architectures",
        "augmentation",
        "folders",
        "cache",
        "places",
        "checkpoints",
        "failures",
        "profiles",
        "results",
        "planned",
    ],
    ["losses", "data", "models", "progress", "cells", "scores", "graph", "execute"],
    [
        "neighborhoods",
        "training",
        "metrics",
        "toy",
        "comparison",
        "flags",
        "main_table",
        "foreign",
        "heads",
        "own_images",
        "result_files",
        "audit_measures",
        "equivalence",
        "keyframes",
        "fetch",
    ],
    [
        "methods",
        "attacks",
        "slices",
        "stages",
        "embedding",
        "published",
        "never_seen",
        "findings",
    ],
    ["settings", "relearning", "leaderboard", "sentences"],
    ["workshop", "documented"],
    ["study"],
    ["measurements", "trajectory", "maps", "tuning", "claims", "given"],
    ["plots", "prepare", "motion", "audit_request", "search"],
    ["auditing", "notebooks", "explorers", "exercises", "report"],
    ["audit", "website", "merging", "planning"],
]
# The order inside a folder, whose own file, the registry, stands on all others.
INSIDE = {
    "methods": [
        ["_descent", "_gradients"],
        ["_base"],
        [
            "adversarial_probe",
            "bad_teacher",
            "boundary_expand",
            "boundary_shrink",
            "delete",
            "finetune",
            "l1_sparse",
            "neggrad",
            "random_label",
            "retrain",
            "scrub",
            "ssd",
            "unsc",
        ],
        ["neggrad_plus", "salun", "spotter"],
    ],
    "attacks": [
        ["detection", "prototype"],
        ["battery", "class_means", "full_probe", "probe", "rows"],
        ["all_means", "neighbors"],
    ],
    "relearning": [["descent"], ["fine_tuning", "free", "reminiscence"]],
    "measurements": [
        [
            "ablation",
            "accuracy",
            "dispersion",
            "over_unlearning",
            "relearning",
            "retained_damage",
        ],
        ["battery", "by_epoch"],  # the latter stands on `trajectory`, of the same layer
        ["layer_sweep", "training_attacks"],
    ],
    "exercises": [
        ["verdicts", "versions"],
        ["answers", "sheet"],
        ["by_hand", "by_prototype", "strongest"],
        ["near_points", "prototypes"],
        ["dispersion", "over_unlearning", "relearning"],
    ],
    "plots": [
        ["inks", "saving", "sizes"],
        ["style"],
        ["blocks", "frames", "gauges", "gif", "heat"],
        ["blind_spots", "dots", "regions"],
        [
            "accuracy",
            "battery",
            "by_epoch",
            "embedding",
            "over_unlearning",
            "relearning",
            "slice_panels",
            "slices",
            "summary",
            "toy",
        ],
        ["audit", "map_panels", "motion", "relearning_panels", "run_panels"],
    ],
    "explorers": [
        ["background", "stage"],
        ["frontend"],
        ["dispersion", "neighborhood", "relearning"],
        ["live"],
        ["opening"],
    ],
    "merging": [
        ["differences"],
        ["joining"],
        ["models", "report"],
        ["summary"],
        ["__main__"],
    ],
    "planning": [
        ["costs", "countable", "scheduling"],
        ["algebra", "measured", "miniature", "plan"],
        ["counted", "text"],
        ["__main__"],
    ],
    "website": [
        ["checking", "executed", "formulas", "privacy", "rewriting"],
        ["addresses", "captions", "contents"],
        ["prose"],
        ["outputs"],
        ["pages"],
        ["gallery"],
        ["frame"],
        ["build"],
        ["__main__"],
    ],
}
LIGHT = [
    "files",
    "frontends",
    "sources",
    "usage",
    "cards",
    "outages",
    "places",
    "profiles",
    "graph",
    "results",
    "failures",
    "execute",
    "claims",
    "cells",
    "comparison",
    "equivalence",
    "flags",
    "main_table",
    "scores",
    "plots",
    "plots.toy",
    "plots.audit",
    "plots.motion",
    "keyframes",
    "findings",
    "result_files",
    "leaderboard",
    "sentences",
    "website.build",
    "merging.__main__",
    "planning.__main__",
]


def positions():
    """(layer, place inside it) of every module, by its name without the package's."""
    places = {}
    for layer, names in enumerate(LAYERS):
        for name in names:
            groups = INSIDE.get(name, [])
            places[name] = (layer, len(groups))
            for place, group in enumerate(groups):
                places |= {f"{name}.{inner}": (layer, place) for inner in group}
    return places


PLACES = positions()
PLACES["once"] = (0, -1)  # below all others, which it loads
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"
}


def wrong_imports(name, source):
    """Modules that a file of that name imports although they are not below it."""
    imports = {module.removeprefix(f"{PACKAGE}.") for module in imported_modules(ast.parse(source))}
    return sorted(other for other in imports if PLACES[other] >= PLACES[name])


def test_every_file_has_a_place_and_every_place_a_file():
    assert sorted(PLACES) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_from_below(name):
    assert not wrong_imports(name, FILES[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("losses", "from spotter_core.metrics import accuracy"),  # from above
        ("losses", "def f():\n    from spotter_core import models"),  # from beside, hidden
        ("methods.delete", "import spotter_core.methods.spotter"),  # from above, inside a folder
        ("methods._base", "from spotter_core.methods import METHODS"),  # from the registry
    ],
)
def test_a_wrong_import_would_be_found(name, source):
    assert wrong_imports(name, source)


def test_the_core_has_no_relative_import_because_no_fingerprint_would_follow_it():
    for path in FILES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path.name


def test_the_package_lists_its_layers():
    listed = re.findall(r"^(\d+)\. ((?:``\w+``\s+)+)--", spotter_core.__doc__, flags=re.MULTILINE)
    assert [int(number) for number, _ in listed] == list(range(len(LAYERS)))
    assert [re.findall(r"``(\w+)``", names) for _, names in listed] == LAYERS


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_its_layer(name):
    header = ast.get_docstring(ast.parse(FILES[name].read_text(encoding="utf-8")))
    assert header
    said = re.findall(r"^Layer (\d+)", header, flags=re.MULTILINE)
    own = [str(PLACES[name][0])]
    assert said == own or (not said and "." in name)  # a method or picture may leave it to __init__


def test_no_file_is_much_longer_than_one_idea():
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in FILES.items()}
    assert not {name: count for name, count in lines.items() if count > 330}


# --- what an import costs -------------------------------------------------------------------------


def loaded_by(names):
    """Top-level modules that a fresh interpreter holds after importing modules of the core."""
    code = f"import sys; import {', '.join(f'{PACKAGE}.{name}' for name in names)}"
    code += "; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_what_only_reads_rows_or_runs_the_graph_does_not_load_torch():
    loaded = loaded_by(LIGHT)
    assert PACKAGE in loaded
    assert not loaded & {"torch", "torchvision", "umap", "sklearn"}


def test_what_the_graph_loads_to_plan_is_lighter_still():
    loaded = loaded_by(["profiles", "graph", "files", "sources"])
    assert not loaded & {"torch", "numpy", "pandas", "matplotlib", "papermill"}


def test_losses_load_torch_and_no_picture_library():
    loaded = loaded_by(["losses"])
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "umap", "pandas", "sklearn", "torchvision"}


def test_a_study_does_not_load_what_only_pictures_need():
    loaded = loaded_by(["measurements", "notebooks"])
    assert not loaded & {"matplotlib", "seaborn", "umap", "sklearn", "torchvision", "papermill"}


def test_the_package_itself_loads_nothing_but_how_it_is_loaded():
    code = f"import sys; before = set(sys.modules); import {PACKAGE}"
    code += "; print(*set(sys.modules) - before)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if name.startswith(PACKAGE)} == {PACKAGE, f"{PACKAGE}.once"}
    assert {name.partition(".")[0] for name in loaded} <= {*sys.stdlib_module_names, PACKAGE}
