import numpy as np
import pytest
import torch
from PIL import Image

from spotter_core.folders import decode_one, read_image_folder


def picture(value, *, size=(4, 5), colour=False):
    shape = (*size, 3) if colour else size
    return np.full(shape, value, dtype=np.uint8)


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
