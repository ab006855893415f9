"""A folder of the user's own, divided by him or by us."""

import numpy as np
import pytest
import torch

from spotter_core.own_images import forget_indices, load_own_images, with_channels

DRAW = np.random.default_rng(0)


def some(count, shape=(6, 6)):
    return [DRAW.integers(0, 255, shape, dtype=np.uint8) for _ in range(count)]


def test_a_folder_of_classes_is_divided_by_class_and_always_alike(image_folder):
    root = image_folder({"cat": some(20), "dog": some(40), "eel": some(12)})
    one, two = load_own_images(root), load_own_images(root)
    assert one.class_names == ("cat", "dog", "eel")
    for part, counts in (("train", [12, 24, 7]), ("validation", [3, 6, 2]), ("test", [5, 10, 3])):
        own = getattr(one, part)
        assert own.labels.bincount().tolist() == counts
        assert torch.equal(own.images, getattr(two, part).images)


def test_a_divided_folder_is_read_as_it_is_and_resized(image_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = image_folder({f"{p}/{c}": some(10) for p in ("train", "test") for c in ("a", "b")})
    found = load_own_images(root, size=4)
    assert [len(found.train), len(found.validation), len(found.test)] == [18, 2, 20]
    assert found.test.images.shape[1:] == (1, 4, 4)


def test_what_is_no_folder_of_classes_is_refused(tmp_path, image_folder):
    with pytest.raises(FileNotFoundError, match=r"images: .*nowhere is not there"):
        load_own_images(tmp_path / "nowhere")
    root = image_folder({"only": some(9)})
    with pytest.raises(ValueError, match="holds 1 class folders with images; expected two or more"):
        load_own_images(root)
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match="holds 1 class folders"):
        load_own_images(root)
    image_folder({"few": some(2)})
    with pytest.raises(ValueError, match="class 0 has 2 samples, too few"):
        load_own_images(root)
    image_folder({"few": some(9), "wide": some(9, (6, 7))})
    with pytest.raises(ValueError, match="images differ in size"):
        load_own_images(root)
    with pytest.raises(ValueError, match="size must be above 0"):
        load_own_images(root, size=0)


def test_grey_images_are_repeated_for_a_network_of_colours(digits):
    colour = with_channels(digits, 3)
    assert colour.train.images.shape[1:] == (3, 8, 8)
    assert torch.equal(colour.test.images[:, 2:], digits.test.images)
    assert with_channels(digits, 1) is digits
    with pytest.raises(ValueError, match="mean and std are of 1 channels, but the images have 3"):
        with_channels(colour, 1)


def test_forget_classes_are_names_or_indices():
    names = ("zero", "one", "10", "two")
    assert forget_indices(["two", "0"], names) == (0, 3)
    assert forget_indices(["10"], names) == (2,)  # a name goes before an index
    for named in (["three"], ["4"], ["-1"]):
        with pytest.raises(ValueError, match=f"forget class '{named[0]}' is unknown; .*zero, one"):
            forget_indices(named, names)
    for named in ([], ["one", "1"], ["0", "1", "2", "3"]):
        with pytest.raises(ValueError, match="must name one or more of 4 classes, each once"):
            forget_indices(named, names)
