import io
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from spotter_core import places
from spotter_core.places import cache_root, data_root, find_folder


@pytest.fixture
def places_of(tmp_path, monkeypatch):
    """A project with data beside it, a data folder and a cache, all of them empty."""
    for folder in ("project/notebooks", "project/spotter_core", "shared/data", "data"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("SPOTTER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


@pytest.fixture
def pictures(image_folder, places_of):
    image = np.zeros((2, 2), dtype=np.uint8)
    root = places_of / "made" / "faces"
    return image_folder({f"{p}/{c}": [image] for p in ("train", "test") for c in "ab"}, root=root)


def archive(folder, path, *, top=""):
    """Write an archive of a folder, its content below ``top``."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for file in sorted(folder.rglob("*")):
                zipped.write(file, os.path.join(top, file.relative_to(folder)))
    else:
        kind = path.suffix[1:].replace("tgz", "gz").replace("tar", "")
        with tarfile.open(path, f"w:{kind}") as tar:
            tar.add(folder, arcname=top or ".")
    return path


def content(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def test_the_data_root_is_named_by_the_environment_or_lies_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPOTTER_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path
    assert cache_root() == tmp_path / "cache" / "spotter"
    monkeypatch.delenv("SPOTTER_DATA")
    assert data_root() == cache_root()
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert data_root().parts[-2:] == (".cache", "spotter")


@pytest.mark.parametrize("place", ["project", "data", "cache/spotter"])
def test_a_folder_is_found_where_one_stands_data_lie_and_in_the_cache(places_of, place):
    (places_of / place / "faces").mkdir(parents=True)
    assert find_folder("faces") == places_of / place / "faces"


def test_a_folder_comes_before_an_archive_and_the_data_root_before_the_cache(pictures, places_of):
    archive(pictures, places_of / "data/faces.zip")
    (places_of / "cache/spotter/faces").mkdir(parents=True)
    assert find_folder("faces") == cache_root() / "faces"
    (places_of / "data/faces").mkdir()
    assert find_folder("faces") == places_of / "data/faces"
    assert find_folder(str(pictures)) == pictures


@pytest.mark.parametrize("top", ["", "faces-1.0"])
@pytest.mark.parametrize("suffix", places.SUFFIXES)
def test_an_archive_is_unpacked_to_the_cache_once(pictures, places_of, suffix, top, caplog):
    path = archive(pictures, places_of / f"data/faces{suffix}", top=top)
    caplog.set_level("INFO")
    found = find_folder("faces")
    assert found == cache_root() / "faces"
    assert content(found) == content(pictures)
    assert caplog.messages == [f"unpacking {path} to {found}, once"]
    path.unlink()
    assert find_folder("faces") == found
    assert os.listdir(cache_root()) == ["faces"]


def test_an_archive_beside_the_project_serves_a_fresh_clone(pictures, places_of):
    archive(pictures, places_of / "shared/data/faces.tar.xz")
    assert content(find_folder("faces")) == content(pictures)
    assert not (places_of / "shared/data/faces").exists()


def test_what_is_nowhere_says_what_to_put_where(places_of):
    with pytest.raises(FileNotFoundError) as caught:
        find_folder("faces")
    message = str(caught.value)
    for place in ("project/faces", "data/faces", "cache/spotter/faces", "shared/data"):
        assert str(places_of / place) in message
    for part in ("'faces'", "faces.tar.xz", ".zip", "train/<class>/", "SPOTTER_DATA"):
        assert part in message
    with pytest.raises(FileNotFoundError, match=r"nowhere is not there: pass the folder"):
        find_folder(str(places_of / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"'deep/faces' is not there"):
        find_folder("deep/faces")


# --- archives that must not be trusted ------------------------------------------------------------


def hostile_tar(path, name, **attributes):
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(name)
        for key, value in attributes.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(b"x" * member.size))


HOSTILE = {
    "above": ("train/../../../escaped", {"size": 1}),
    "link": ("train/link", {"type": tarfile.SYMTYPE, "linkname": "../../../.."}),
    "device": ("train/device", {"type": tarfile.CHRTYPE}),
}


@pytest.mark.parametrize(("name", "attributes"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_tar_that_leads_out_of_its_folder_is_refused(places_of, name, attributes):
    hostile_tar(places_of / "data/faces.tar", name, **attributes)
    with pytest.raises(ValueError, match=r"faces.tar can't be unpacked \(.*fetch it again"):
        find_folder("faces")
    assert os.listdir(cache_root()) == []


def test_a_zip_that_leads_out_of_its_folder_is_kept_inside(pictures, places_of):
    path = archive(pictures, places_of / "data/faces.zip")
    with zipfile.ZipFile(path, "a") as zipped:
        zipped.writestr("train/../../../../escaped.png", b"x")
    found = find_folder("faces")
    assert [p for p in places_of.rglob("escaped.png") if not p.is_relative_to(found)] == []


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.gz", ".tar.bz2", ".tar", ".zip"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_damaged_archive_is_named_and_leaves_nothing(pictures, places_of, suffix, share):
    path = archive(pictures, places_of / f"data/faces{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)] if share else b"no archive" * 100)
    with pytest.raises((ValueError, OSError), match=rf"faces{suffix} can't be unpacked"):
        find_folder("faces")
    assert os.listdir(cache_root()) == []


def test_an_archive_of_something_else_says_what_was_expected(pictures, places_of):
    shutil.rmtree(pictures / "train")
    archive(pictures, places_of / "data/faces.tar.gz")
    with pytest.raises(ValueError, match=r"no image folder: expected train/.* found \['test'\]"):
        find_folder("faces")
    assert os.listdir(cache_root()) == []


def test_a_cache_that_can_not_be_written_is_named(pictures, places_of):
    archive(pictures, places_of / "data/faces.zip")
    (places_of / "cache").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"can't be unpacked to .*cache.spotter.faces: .* Make room"):
        find_folder("faces")


def test_of_two_processes_that_unpack_at_once_both_find_a_whole_folder(
    pictures, places_of, monkeypatch
):
    archive(pictures, places_of / "data/faces.zip")
    extract = places.extract

    def overtaken(path, folder):
        extract(path, folder)
        shutil.copytree(pictures, cache_root() / "faces")

    monkeypatch.setattr(places, "extract", overtaken)
    assert content(find_folder("faces")) == content(pictures)
    assert os.listdir(cache_root()) == ["faces"]
