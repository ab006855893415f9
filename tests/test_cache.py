import logging

import pytest
import torch
from damage import damages
from safetensors.torch import save_file

from spotter_core.cache import cached_tensors

MADE = {"images": torch.arange(24, dtype=torch.uint8).view(2, 12), "other": torch.ones(3)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decoded" / "pictures.safetensors"


def never():
    raise AssertionError("made although it is kept")


def same(found):
    return found.keys() == MADE.keys() and all(torch.equal(found[n], MADE[n]) for n in MADE)


def test_tensors_are_made_once(path):
    assert same(cached_tensors(path, key="a", make=lambda: MADE))
    assert same(cached_tensors(path, key="a", make=never))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_another_key_makes_them_anew_and_replaces_the_file(path):
    cached_tensors(path, key="a", make=dict)
    assert same(cached_tensors(path, key="b", make=lambda: MADE))
    assert same(cached_tensors(path, key="b", make=never))
    with pytest.raises(AssertionError):
        cached_tensors(path, key="a", make=never)


def test_what_is_read_survives_a_new_file_and_a_change_to_it_does_not_reach_the_file(path):
    cached_tensors(path, key="a", make=lambda: MADE)
    read = cached_tensors(path, key="a", make=never)
    cached_tensors(path, key="b", make=lambda: {"images": torch.zeros(1)})
    assert same(read)
    cached_tensors(path, key="a", make=lambda: MADE)
    cached_tensors(path, key="a", make=never)["images"].zero_()
    assert same(cached_tensors(path, key="a", make=never))


DAMAGES = {
    "cut short": lambda data: data[:-1],
    "cut in its header": lambda data: data[:20],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"x",
    "foreign": lambda data: b"no tensors at all",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_made_anew_with_a_word(path, damage, caplog):
    cached_tensors(path, key="a", make=lambda: MADE)
    path.write_bytes(damage(path.read_bytes()))
    assert same(cached_tensors(path, key="a", make=lambda: MADE))
    assert "pictures.safetensors can't be read and is made anew" in caplog.text
    assert same(cached_tensors(path, key="a", make=never))


def test_a_file_with_any_byte_changed_or_cut_off_is_made_anew(path):
    cached_tensors(path, key="a", make=lambda: MADE)
    for data in damages(path.read_bytes()):
        path.write_bytes(data)
        anew = []
        assert same(cached_tensors(path, key="a", make=lambda made=anew: made.append(1) or MADE))
        assert anew == [1]


def test_a_changed_pixel_is_made_anew_with_a_word(path, caplog):
    cached_tensors(path, key="a", make=lambda: MADE)
    path.write_bytes(path.read_bytes().replace(bytes(range(24)), bytes([*range(23), 0])))
    assert same(cached_tensors(path, key="a", make=lambda: MADE))
    assert "pictures.safetensors does not match its digest and is made anew" in caplog.text
    assert same(cached_tensors(path, key="a", make=never))


def test_a_file_of_someone_else_is_made_anew(path):
    path.parent.mkdir()
    save_file({"images": torch.zeros(2)}, path)
    assert same(cached_tensors(path, key="a", make=lambda: MADE))


def test_where_nothing_can_be_written_one_line_says_why_and_the_result_is_the_same(path, caplog):
    path.parent.write_text("a file where a folder should be")
    for _ in range(2):
        caplog.clear()
        assert same(cached_tensors(path, key="a", make=lambda: MADE))
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert "pictures.safetensors is not kept" in record.getMessage()
        assert str(path.parent) in record.getMessage()
        assert "\n" not in record.getMessage()


def test_what_can_not_be_made_leaves_nothing_behind(path):
    def fail():
        raise ValueError("a.png can't be read")

    with pytest.raises(ValueError, match=r"a\.png"):
        cached_tensors(path, key="a", make=fail)
    assert not path.exists()
