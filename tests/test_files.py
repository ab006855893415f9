import errno
import hashlib
import json
import os
import signal
import stat
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from damage import damages

from spotter_core.files import (
    BLANK,
    atomic_path,
    content_hash,
    is_sealed,
    is_sealed_file,
    project_root,
    read_sealed,
    seal_file,
    sealed,
    settings_hash,
    write_sealed,
    write_text_atomically,
)

# --- writing --------------------------------------------------------------------------------------


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_appears_whole_with_its_folders_and_is_readable_by_all(tmp_path):
    path = tmp_path / "a" / "b" / "rows.json"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.suffix == ".json"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["rows.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_writer_that_raises_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("old")

    def write():
        with atomic_path(path) as temporary:
            temporary.write_text("ha")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["rows.json"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_writer_that_is_killed_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("old")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls nothing that locks
        child = os.fork()
    if child == 0:
        with atomic_path(path) as temporary:
            temporary.write_text("ha")
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert path.read_text() == "old"
    assert visible(tmp_path) == ["rows.json"]
    write_text_atomically(path, "new")
    assert path.read_text() == "new"


def test_what_a_killed_writer_left_is_removed_after_a_day_by_the_next_of_the_same_file(tmp_path):
    path, day = tmp_path / "a[1].json", 86400.0
    old = {".a[1].json.abcd_123.json": True, ".a[1].json.abcd_124.json": False}
    old |= dict.fromkeys((".b.json.abcd_125.json", ".a1.json.abcd_126.json", "a[1].csv"), True)
    for name, is_old in old.items():
        (tmp_path / name).write_text("ha")
        age = time.time() - (day + 60 if is_old else day - 60)
        os.utime(tmp_path / name, (age, age))
    write_text_atomically(path, "new")
    assert set(os.listdir(tmp_path)) == {path.name, *list(old)[1:]}


def raising(error_number):
    def raise_it(*args, **kwargs):
        raise OSError(error_number, os.strerror(error_number))

    return raise_it


# Tests may run as root, whom no permission stops: the calls that would fail are made to fail.
@pytest.mark.parametrize(
    ("where", "call", "error_number"),
    [
        (tempfile, "mkstemp", errno.EROFS),
        (tempfile, "mkstemp", errno.EACCES),
        (Path, "write_bytes", errno.ENOSPC),
        (Path, "replace", errno.EDQUOT),
    ],
)
def test_a_folder_that_takes_no_file_is_a_clear_error_and_loses_nothing(
    tmp_path, monkeypatch, where, call, error_number
):
    path = tmp_path / "rows.json"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(where, call, raising(error_number))
        with pytest.raises(OSError, match=r"can't write .*rows\.json.* kept; make room") as caught:
            write_text_atomically(path, "new")
    assert caught.value.errno == error_number
    assert os.strerror(error_number) in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["rows.json"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_a_clear_error(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"can't write .*rows\.json"):
            write_text_atomically(path, "new")
    finally:
        tmp_path.chmod(0o700)
    assert path.read_text() == "old"


def test_a_file_where_a_folder_should_be_is_a_clear_error(tmp_path):
    (tmp_path / "runs").write_text("not a folder")
    with pytest.raises(OSError, match=r"can't write .*rows\.json"):
        write_text_atomically(tmp_path / "runs" / "rows.json", "new")
    assert (tmp_path / "runs").read_text() == "not a folder"


def test_writing_equal_text_keeps_the_time_stamp_and_other_text_does_not(tmp_path):
    path = tmp_path / "rows.json"
    write_text_atomically(path, "ε ≤ 1\n")
    os.utime(path, (1, 1))
    write_text_atomically(path, "ε ≤ 1\n")
    assert path.stat().st_mtime == 1
    write_text_atomically(path, "ε ≤ 2\n")
    assert path.stat().st_mtime > 1
    assert path.read_text(encoding="utf-8") == "ε ≤ 2\n"


def test_a_damaged_file_is_replaced(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xff\xfe\x00 no UTF-8")
    write_text_atomically(path, "new")
    assert path.read_text() == "new"


# --- hashes and surroundings ----------------------------------------------------------------------


def test_a_content_hash_is_the_head_of_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"spotter")
    assert content_hash(path) == hashlib.sha256(b"spotter").hexdigest()[:16]


def test_a_settings_hash_ignores_the_order_of_keys_and_nothing_else():
    settings = {"epsilon": 0.03, "classes": [0, 3], "path": Path("a")}
    assert settings_hash(settings) == settings_hash(dict(reversed(settings.items())))
    assert settings_hash(settings) == "1e85bb338f11"
    changed = [settings | {"epsilon": 0.031}, settings | {"classes": [3, 0]}, {}, None]
    assert len({settings_hash(s) for s in [settings, *changed]}) == 5


@pytest.mark.parametrize("start", ["", "notebooks", "runs/digits/deep"])
def test_the_project_is_found_from_any_folder_inside_it(tmp_path, monkeypatch, start):
    for folder in ("notebooks", "spotter_core", "runs/digits/deep"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / start)
    assert project_root() == tmp_path


# --- files that tell if they were changed ---------------------------------------------------------

TEXT = '{"format": "made-1", "digest_of": "x", "words": "ε \\"digest\\": \\"0\\""}\n'
READ = {"kind": "list", "name": "made-1", "advice": "make it anew"}


def test_an_object_comes_back_with_its_digest_first(tmp_path):
    path = tmp_path / "deep" / "made.json"
    write_sealed(path, TEXT)
    found = read_sealed(path, **READ)
    assert list(found) == ["digest", "format", "digest_of", "words"]
    assert {k: v for k, v in found.items() if k != "digest"} == json.loads(TEXT)
    before = path.stat().st_mtime_ns
    write_sealed(path, TEXT)
    assert path.stat().st_mtime_ns == before


def test_an_object_with_any_byte_changed_or_cut_off_is_refused(tmp_path):
    path = tmp_path / "made.json"
    write_sealed(path, TEXT)
    for data in damages(path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"made\.json.*: make it anew"):
            read_sealed(path, **READ)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"list .*made\.json can't be read"),
        (b"\xff", r"list .*made\.json can't be read"),
        (b"[]", r"made\.json is no list of format 'made-1'"),
        (b'{"format": "made-0"}', r"made\.json is no list of format 'made-1'"),
        (b'{"format": "made-1"}', r"list .*made\.json does not match its digest"),
        (b'{"digest": 7, "format": "made-1"}', r"list .*made\.json does not match its digest"),
    ],
)
def test_what_was_not_written_so_is_refused_with_what_is_wrong(tmp_path, data, message):
    path = tmp_path / "made.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{message}.*: make it anew"):
        read_sealed(path, **READ)


def test_a_file_is_sealed_in_its_place_as_its_content_is(tmp_path):
    path, data = tmp_path / "made", b'head "digest":"' + BLANK.encode() + b'" tail' * 1000
    path.write_bytes(data)
    assert not is_sealed(data)
    seal_file(path)
    assert path.read_bytes() == sealed(data)
    assert is_sealed(sealed(data))
    assert is_sealed_file(path)
    path.write_bytes(sealed(data) + b" ")
    assert not is_sealed_file(path)
    path.write_bytes(b"")
    assert not is_sealed_file(path)


@pytest.mark.parametrize("data", [b"", b"no field", sealed(b'"digest":"' + BLANK.encode() + b'"')])
def test_what_has_no_place_for_a_digest_can_not_be_sealed(data):
    with pytest.raises(ValueError, match="must have a field"):
        sealed(data)
