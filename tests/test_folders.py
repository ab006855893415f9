import hashlib
import os
import time

import numpy as np
import pytest
import torch
from PIL import Image

from spotter_core import folders
from spotter_core.folders import (
    TICK,
    decode_one,
    image_fingerprints,
    list_image_folder,
    read_images,
)


def picture(value, *, size=(4, 5), colour=False):
    shape = (*size, 3) if colour else size
    return np.full(shape, value, dtype=np.uint8)


def read_image_folder(root, *, size=None):
    """Class names, training and test (images, labels)."""
    listing = list_image_folder(root)
    images, (train, test) = read_images(listing, size=size)["images"], listing.labels()
    return listing.class_names, (images[: len(train)], train), (images[len(train) :], test)


GREY = {
    "train/cat": [picture(10), picture(11)],
    "train/ape": [picture(20)],
    "test/cat": [picture(30)],
    "test/ape": [picture(40), picture(41)],
}


def test_a_grey_folder_becomes_bytes_with_one_channel_and_classes_in_order(image_folder):
    names, (images, labels), (test_images, test_labels) = read_image_folder(image_folder(GREY))
    assert names == ("ape", "cat")
    assert images.dtype == torch.uint8
    assert images.shape == (3, 1, 4, 5)
    assert images[:, 0, 0, 0].tolist() == [20, 10, 11]
    assert labels.tolist() == [0, 1, 1]
    assert test_images[:, 0, 3, 4].tolist() == [40, 41, 30]
    assert test_labels.tolist() == [0, 0, 1]
    assert labels.dtype == torch.int64


def test_colour_keeps_its_channels_in_order(image_folder):
    red = picture(0, colour=True)
    red[..., 0] = 200
    folder = image_folder({f"{part}/{c}": [red] for part in ("train", "test") for c in "ab"})
    _, (images, _), _ = read_image_folder(folder)
    assert images.shape == (2, 3, 4, 5)
    assert images[0, :, 1, 1].tolist() == [200, 0, 0]
    assert images.is_contiguous()


def test_one_colour_image_makes_the_whole_set_colour(image_folder):
    folder = image_folder(GREY | {"test/ape": [picture(7, colour=True)]})
    _, (images, _), (test_images, _) = read_image_folder(folder)
    assert images.shape == (3, 3, 4, 5)
    assert images[0, :, 0, 0].tolist() == [20, 20, 20]
    assert test_images.shape == (2, 3, 4, 5)


def test_images_that_differ_in_size_need_a_size(image_folder):
    folder = image_folder(GREY | {"train/ape": [picture(20, size=(8, 9))]})
    with pytest.raises(ValueError, match=r"2 sizes from \(4, 5\) to \(8, 9\).* pass size="):
        read_image_folder(folder)
    _, (images, _), (test_images, _) = read_image_folder(folder, size=6)
    assert images.shape == (3, 1, 6, 6)
    assert test_images.shape == (3, 1, 6, 6)
    assert images[:, 0].float().mean(dim=(1, 2)).tolist() == [20, 10, 11]


@pytest.mark.parametrize("suffix", [".bmp", ".JPG", ".pgm", ".png", ".tif", ".webp"])
def test_common_formats_are_read(image_folder, suffix):
    content = {name: [picture(100)] for name in GREY}
    _, (images, _), _ = read_image_folder(image_folder(content, suffix=suffix))
    assert images.shape[-2:] == (4, 5)
    assert (images.float() - 100).abs().max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bit_grey_keeps_its_range_instead_of_turning_white(tmp_path, suffix):
    deep = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    assert decode_one(tmp_path / f"deep{suffix}", None).tolist() == [[0, 1, 128, 255]]


def test_floats_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ValueError, match=r"f\.tif can't be read.*floats of unknown range"):
        decode_one(tmp_path / "f.tif", None)


@pytest.mark.parametrize(
    ("mode", "shape"), [("1", (4, 5)), ("LA", (4, 5)), ("P", (4, 5, 3)), ("RGBA", (4, 5, 3))]
)
def test_other_modes_become_grey_or_colour(tmp_path, mode, shape):
    Image.fromarray(picture(255, colour=True)).convert(mode).save(tmp_path / "a.png")
    decoded = decode_one(tmp_path / "a.png", None)
    assert decoded.shape == shape
    assert (decoded == 255).all()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.png", b"no image"),
        ("x.png", b""),
        ("x.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        ("x.pgm", b"P5\n4 4\n255\n\x00"),
        ("x.pgm", b"P5\n4x 4\n255\n"),
        ("x.pgm", b"P5\n4"),
        ("x.bmp", b"BM"),
    ],
)
def test_a_broken_image_is_named(image_folder, name, content):
    folder = image_folder(GREY)
    (folder / "train" / "cat" / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"train.cat.{name} can't be read as an image"):
        read_image_folder(folder)


def test_an_image_cut_short_is_named(image_folder):
    folder = image_folder(GREY)
    whole = (folder / "train/cat/000.png").read_bytes()
    (folder / "train/cat/000.png").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ValueError, match=r"cat.000\.png can't be read .*: replace it or delete it"):
        read_image_folder(folder)


def test_what_is_no_image_and_what_is_hidden_is_passed_over(image_folder):
    folder = image_folder(GREY)
    (folder / "train/cat/notes.txt").write_text("no image")
    (folder / "train/cat/._000.png").write_text("what macOS leaves behind")
    (folder / "train/.thumbnails").mkdir()
    (folder / "train/.thumbnails/a.png").write_text("no image")
    (folder / "train/empty").mkdir()
    names, (images, _), _ = read_image_folder(folder)
    assert names == ("ape", "cat")
    assert len(images) == 3


def test_a_folder_that_is_not_there_is_an_error_that_says_what_is_expected(tmp_path, image_folder):
    with pytest.raises(FileNotFoundError, match=r"nowhere.train is not there: .*/test/<class>/"):
        read_image_folder(tmp_path / "nowhere")
    folder = image_folder({"train/a": [picture(0)], "train/b": [picture(0)]})
    with pytest.raises(FileNotFoundError, match=r"test is not there"):
        read_image_folder(folder)


def test_a_folder_without_images_is_an_error_that_lists_the_formats(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "test").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no class folder with images \(\.bmp, \.jpeg"):
        read_image_folder(tmp_path)


def test_one_class_alone_is_refused(image_folder):
    folder = image_folder({"train/cat": [picture(1)], "test/cat": [picture(2)]})
    with pytest.raises(ValueError, match=r"the class 'cat' only.*at least two"):
        read_image_folder(folder)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_that_one_part_lacks_is_named(image_folder, part):
    folder = image_folder(GREY | {f"{part}/dog": [picture(1)]})
    with pytest.raises(ValueError, match=r"classes \['dog'\] have images in only one of"):
        read_image_folder(folder)


def test_a_name_that_is_nothing_but_a_suffix_is_hidden(image_folder):
    folder = image_folder(GREY)
    (folder / "train/cat/.png").write_text("no image")
    assert len(list_image_folder(folder).files) == 6


# --- what a listing says before anything is decoded -----------------------------------------------


def touched(path):
    path.touch()


def rewritten_with_its_old_date(path):
    stat = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replaced_by_one_of_equal_size_and_date(path):
    stat = path.stat()
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


def deleted(path):
    path.unlink()


def renamed(path):
    path.rename(path.with_name("zzz.png"))


def moved_to_another_class(path):
    path.rename(path.parents[1] / "cat" / "moved.png")


def joined_by_another(path):
    path.with_name("another.png").write_bytes(path.read_bytes())


CHANGES = [
    touched,
    rewritten_with_its_old_date,
    replaced_by_one_of_equal_size_and_date,
    deleted,
    renamed,
    moved_to_another_class,
    joined_by_another,
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_file_changes_the_key(image_folder, change):
    folder = image_folder(GREY)
    before = list_image_folder(folder).key(size=None)
    assert list_image_folder(folder).key(size=None) == before
    time.sleep(TICK)
    change(folder / "test/ape/000.png")
    assert list_image_folder(folder).key(size=None) != before


def test_the_key_depends_on_size_and_decoder_and_not_on_where_the_folder_lies(
    image_folder, monkeypatch
):
    folder = image_folder(GREY)
    listing = list_image_folder(folder)
    before = listing.key(size=None)
    assert listing.key(size=8) != before
    moved = folder.rename(folder.with_name("elsewhere"))
    assert list_image_folder(moved).key(size=None) == before
    monkeypatch.setattr(folders, "decode_one", lambda path, size: None)
    assert listing.key(size=None) != before
    monkeypatch.undo()
    monkeypatch.setattr(folders.PIL, "__version__", "0.1")
    assert listing.key(size=None) != before


def test_a_folder_that_changes_while_it_is_read_is_refused(image_folder, monkeypatch):
    folder = image_folder(GREY)
    listing = list_image_folder(folder)

    def slow(paths, *, size):
        (folder / "train/cat/late.png").write_bytes(b"")
        return torch.zeros(len(paths), 1, 4, 5, dtype=torch.uint8)

    monkeypatch.setattr(folders, "decode", slow)
    with pytest.raises(RuntimeError, match=r"pictures changed while its images were read: wait"):
        read_images(listing)


def test_fingerprints_are_half_a_hash_of_each_image():
    images = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    expected = [list(hashlib.sha256(bytes(range(i, i + 12))).digest()[:16]) for i in (0, 12)]
    assert image_fingerprints(images).tolist() == expected
    assert image_fingerprints(images.transpose(1, 2).contiguous().transpose(1, 2)).tolist() == (
        expected
    )
    assert image_fingerprints(images[:0]).shape == (0, 16)


# --- TinyImageNet's layout ------------------------------------------------------------------------

WORDS = "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\nn99\tnot here\n"
ANNOTATED = {"val_0": "n02", "val_1": "n03", "val_2": "n01", "val_3": "n02"}


@pytest.fixture
def tiny(image_folder):
    """Three classes; the value of an image is ten times its class, plus one for validation."""
    folder = image_folder({f"train/n0{c}/images": [picture(10 * c)] * 2 for c in (1, 2, 3)})
    (folder / "val/images").mkdir(parents=True)
    for name, c in ANNOTATED.items():
        Image.fromarray(picture(10 * int(c[1:]) + 1)).save(folder / f"val/images/{name}.PNG")
    boxes = "".join(f"{name}.PNG\t{c}\t0\t0\t63\t63\n" for name, c in ANNOTATED.items())
    (folder / "val/val_annotations.txt").write_text(boxes)
    (folder / "words.txt").write_text(WORDS)
    (folder / "test/images").mkdir(parents=True)
    (folder / "test/images/test_0.PNG").write_bytes(b"without a label")
    return folder


def test_tiny_imagenet_has_readable_names_and_val_for_its_test(tiny):
    names, (images, labels), (test_images, test_labels) = read_image_folder(tiny)
    assert names == ("goldfish", "crane (n02)", "crane (n03)")
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images[:, 0, 0, 0].tolist() == [10, 10, 20, 20, 30, 30]
    assert test_labels.tolist() == [0, 1, 1, 2]
    assert test_images[:, 0, 0, 0].tolist() == [11, 21, 21, 31]


def test_tiny_imagenet_without_words_has_ids_for_names(tiny):
    (tiny / "words.txt").unlink()
    assert list_image_folder(tiny).class_names == ("n01", "n02", "n03")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("val_0.PNG", "val_9.PNG", r"line 1: 'val_9.PNG' is not in .*images, or named twice"),
        ("val_1.PNG", "val_0.PNG", r"line 2: 'val_0.PNG' is not in .*images, or named twice"),
        ("val_3.PNG\tn02\t0\t0\t63\t63\n", "", r"says nothing about 1 images.* val_3.PNG"),
        ("val_3.PNG\tn02", "val_3.PNG\tn07", r"\['n07'\] have images in only one of.* val/"),
        ("val_2.PNG\tn01", "val_2.PNG\tn02", r"\['n01'\] have images in only one of.* val/"),
        ("val_3.PNG\tn02", "val_3.PNG n02", r"line 4: 'val_3.PNG n02.*a tab and its class"),
    ],
)
def test_annotations_that_do_not_match_the_files_are_refused(tiny, old, new, message):
    path = tiny / "val/val_annotations.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        list_image_folder(tiny)


def test_a_changed_annotation_changes_the_labels(tiny):
    path = tiny / "val/val_annotations.txt"
    path.write_text(path.read_text().replace("val_3.PNG\tn02", "val_3.PNG\tn03"))
    _, _, (images, labels) = read_image_folder(tiny)
    assert labels.tolist() == [0, 1, 2, 2]
    assert images[:, 0, 0, 0].tolist() == [11, 21, 31, 21]
