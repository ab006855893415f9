"""A study's images before its first job."""

import json

import pytest

from spotter_core.data import load_dataset
from spotter_core.fetch import describe_data, main


def test_what_was_found_is_told_in_a_file(tmp_path):
    path = tmp_path / "new" / "data.json"
    assert main(["digits", "--out", str(path)]) == 0
    told = json.loads(path.read_text(encoding="utf-8"))
    digits = load_dataset("digits")
    assert told == describe_data(digits)
    assert told["digest"] == digits.digest()
    assert sum(told["images"].values()) == 1797
    assert told["classes"] == 10
    before = path.stat().st_mtime_ns
    assert main(["digits", "--out", str(path)]) == 0
    assert path.stat().st_mtime_ns == before  # nothing that depends on it runs again


def test_images_that_are_nowhere_are_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    for variable in ("SPOTTER_DATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    path = tmp_path / "data.json"
    assert main(["tiny-imagenet", "--out", str(path)]) == 1
    assert "FAILED data: image folder" in capsys.readouterr().err
    assert not path.exists()


def test_an_unknown_profile_is_told_with_those_that_are(tmp_path, capsys):
    assert main(["digit", "--out", str(tmp_path / "data.json")]) == 1
    assert "unknown profile 'digit'; known: " in capsys.readouterr().err


def test_the_images_are_downloaded_where_they_are_not(tmp_path, monkeypatch):
    asked = {}

    def load(name, **options):
        asked[name] = options
        return load_dataset("digits")

    monkeypatch.setattr("spotter_core.fetch.load_dataset", load)
    assert main(["cifar10", "--out", str(tmp_path / "data.json")]) == 0
    assert asked == {"cifar10": {"size": None, "download": True}}


def test_a_folder_that_may_not_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["digits", "--out", str(tmp_path / "file" / "data.json")]) == 1
    assert "can't write" in capsys.readouterr().err


def test_the_command_wants_a_place(capsys):
    with pytest.raises(SystemExit):
        main(["digits"])
    assert "--out" in capsys.readouterr().err
