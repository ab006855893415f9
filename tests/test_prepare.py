"""Layer 9: making what an explorer needs, by a command that may be killed."""

import logging

import pytest
from tiny import CELL, make_project

from spotter_core import maps, prepare
from spotter_core.failures import save_failure
from spotter_core.planned import MODELS
from spotter_core.prepare import command, has_diverged, is_made, main, missing
from spotter_core.sources import code_fingerprint
from spotter_core.study import Study


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """Put back what the command line sets for its own process: logging, no progress bars."""
    monkeypatch.setenv("TQDM_DISABLE", "0")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def study(project, tmp_path, monkeypatch):
    """A study of which nothing is made; an embedding that needs no UMAP, which compiles long."""
    monkeypatch.chdir(project)

    def embed(features, labels, *, seed):
        return {name: rows[:, :2].double().numpy() for name, rows in features.items()}

    monkeypatch.setattr(maps, "common_embedding", embed)
    return Study("mini", root=tmp_path / "run")


def begun(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if " of " in line[:6]]


def run(study, methods, mapped=()):
    return main(command(study, CELL, methods, mapped)[1:])


def test_the_command_makes_what_is_missing_line_by_line_and_then_nothing(study, capsys):
    wanted = ["original", "retrain", "delete"]
    assert missing(study, CELL, ["retrain", "delete"], wanted) == [*wanted, "map"]
    assert run(study, ["retrain", "delete"], wanted) == 0
    assert begun(capsys) == ["1 of 4: original", "2 of 4: retrain", "3 of 4: delete", "4 of 4: map"]
    assert missing(study, CELL, ["retrain", "delete"], wanted) == []
    assert run(study, ["retrain", "delete"], wanted) == 0
    assert begun(capsys) == []


def test_the_words_name_run_device_and_models(study):
    words = command(study, CELL, ["delete"], ["original", "delete"])
    assert words[:3] == ["spotter_core.prepare", "mini", "forget3-seed0"]
    assert words[words.index("--run") + 1] == str(study.root.resolve())
    assert words[words.index("--device") + 1] == study.device.type
    assert words[-5:] == ["--methods", "delete", "--map", "original", "delete"]
    assert "--map" not in command(study, CELL, ["delete"])


def test_what_was_tried_and_diverged_is_not_missing_nor_in_the_map(study, capsys):
    methods = ["original", "delete", "random_label"]
    assert run(study, methods, methods) == 0
    assert has_diverged(study, CELL, "random_label")
    assert not has_diverged(study, CELL, "delete")
    assert missing(study, CELL, methods, methods) == []
    assert begun(capsys)[-1] == "4 of 4: map"
    record = study.path(CELL, "random_label").with_suffix(".diverged.json")
    record.write_text(record.read_text()[:10])  # cut short
    assert missing(study, CELL, methods) == ["random_label"]


def test_a_model_that_is_cut_short_or_of_other_settings_is_missing(study):
    study.model(CELL, "delete")
    assert missing(study, CELL, ["delete"]) == []
    path = study.path(CELL, "delete")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"anything"):
        path.write_bytes(content)
        assert not is_made(study, CELL, "delete")
    path.write_bytes(study.path(CELL, "original").read_bytes())
    assert missing(study, CELL, ["delete"]) == ["delete"]


def test_killed_after_a_model_it_goes_on_with_the_next(study, monkeypatch, capsys):
    make = Study.surviving

    def killed(self, cell, methods):
        if methods == ["delete"]:
            raise KeyboardInterrupt
        return make(self, cell, methods)

    monkeypatch.setattr(Study, "surviving", killed)
    with pytest.raises(KeyboardInterrupt):
        run(study, ["delete"])
    assert missing(study, CELL, ["delete"]) == ["delete"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "forget3-seed0"], "unknown profile 'nothing'"),
        (["mini", "class 3"], "cell must look like forget3-seed0"),
        (["mini", "forget3-seed0", "--methods", "nothing"], "method 'nothing' is not in profile"),
    ],
)
def test_what_is_unknown_is_told_in_one_line(study, capsys, arguments, message):
    assert main([*arguments, "--run", str(study.root)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_an_oracle_that_diverged_is_told_in_one_line(study, monkeypatch, capsys):
    def diverge(*_):
        raise prepare.Diverged("the loss is not finite")

    monkeypatch.setattr(Study, "made", diverge)
    assert run(study, ["retrain"]) == 2
    assert capsys.readouterr().err == "the loss is not finite\n"


def test_a_model_that_is_there_counts_for_more_than_a_failure_beside_it(study):
    """As a merge leaves them, where one machine's training diverged and another's did not."""
    methods = ["original", "delete"]
    assert run(study, methods, methods) == 0
    settings = study.fingerprint(CELL, "delete")
    save_failure(study.path(CELL, "delete"), settings=settings, reason="the loss is not finite")
    assert has_diverged(study, CELL, "delete")
    assert missing(study, CELL, methods, methods) == []


def test_other_code_than_was_planned_makes_nothing(study, capsys):
    planned = code_fingerprint(MODELS)
    words = command(study, CELL, [])[1:]
    assert main([*words, "--planned", "other"]) == 2
    assert "was changed after the study had started" in capsys.readouterr().err
    assert missing(study, CELL, []) == ["original"]
    assert main([*words, "--planned", planned]) == 0
    assert missing(study, CELL, []) == []
