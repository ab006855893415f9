import hashlib
import os
import pickle
import time
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from spotter_core import data, folders
from spotter_core.data import (
    Dataset,
    ForbiddenSet,
    ForgetSplit,
    ImageSet,
    load_dataset,
    stratified_parts,
    with_validation,
)
from spotter_core.folders import TICK
from spotter_core.places import data_root

PARTS = ("train", "validation", "test")
REAL_DATA = data_root()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, so that no test reads or leaves anything in the user's."""
    monkeypatch.delenv("SPOTTER_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "spotter"


# --- image sets -----------------------------------------------------------------------------------


def test_bytes_become_floats_in_the_unit_interval_and_floats_stay():
    labels = torch.tensor([0, 1])
    pixels = ImageSet(torch.tensor([[0, 51], [102, 255]], dtype=torch.uint8), labels).pixels()
    torch.testing.assert_close(pixels, torch.tensor([[0.0, 0.2], [0.4, 1.0]]))
    floats = torch.rand(2, 3)
    assert ImageSet(floats, labels).pixels() is not None
    assert torch.equal(ImageSet(floats, labels).pixels(), floats)


def test_pixels_and_subsets_take_indices_and_masks(samples):
    index = torch.tensor([5, 2])
    assert torch.equal(samples.pixels(index), samples.images[[5, 2]])
    assert samples.subset(index).labels.tolist() == [1, 2]
    chosen = samples.subset(samples.labels == 3)
    assert len(chosen) == 12
    assert set(chosen.labels.tolist()) == {3}


def test_an_epoch_holds_every_sample_once_in_an_order_that_the_generator_sets(samples):
    def epoch(seed):
        return list(samples.batches(20, torch.Generator().manual_seed(seed)))

    batches = epoch(0)
    assert [len(b) for b in batches] == [20, 20, 8]
    order = torch.cat(batches).tolist()
    assert sorted(order) == list(range(48))
    assert order != list(range(48))
    assert torch.cat(epoch(0)).tolist() == order
    assert torch.cat(epoch(1)).tolist() != order


def test_images_and_labels_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"integers of shape \(2,\)"):
        ImageSet(torch.zeros(2, 3), torch.zeros(3).long())


# --- dividing -------------------------------------------------------------------------------------


def test_parts_are_disjoint_complete_and_stratified():
    labels = torch.tensor([0] * 40 + [1] * 20 + [5] * 100)[torch.randperm(160)]
    parts = stratified_parts(labels, [0.6, 0.15], name="x")
    assert torch.cat(parts).sort().values.tolist() == list(range(160))
    assert all(torch.equal(part, part.sort().values) for part in parts)
    counts = [[int((labels[part] == c).sum()) for c in (0, 1, 5)] for part in parts]
    assert counts == [[24, 12, 60], [6, 3, 15], [10, 5, 25]]


def test_parts_depend_on_name_and_labels_and_not_on_the_global_generator():
    labels = torch.arange(60) % 3
    torch.manual_seed(1)
    first = stratified_parts(labels, [0.5], name="x")
    torch.manual_seed(2)
    again = stratified_parts(labels, [0.5], name="x")
    other = stratified_parts(labels, [0.5], name="y")
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_validation_is_taken_from_training_samples_alone(samples):
    divided = with_validation("x", tuple("abcd"), samples, samples, validation=0.25)
    assert [len(getattr(divided, part)) for part in PARTS] == [36, 12, 48]
    both = torch.cat([divided.train.images, divided.validation.images]).flatten(1)
    assert sorted(both.sum(1).tolist()) == sorted(samples.images.flatten(1).sum(1).tolist())
    assert divided.test is samples


@pytest.mark.parametrize("forget", [[3], [0, 3]])
def test_a_forget_split_partitions_every_part_by_class(digits, forget):
    split = ForgetSplit(digits, forget)
    assert split.forget_classes == tuple(forget)
    for part in PARTS:
        lost, kept, whole = (getattr(s, part) for s in (split.forget, split.retain, digits))
        assert set(lost.labels.tolist()) == set(forget)
        assert set(kept.labels.tolist()) == set(range(10)) - set(forget)
        assert len(lost) + len(kept) == len(whole)
        assert torch.equal(
            lost.images, whole.images[torch.isin(whole.labels, torch.tensor(forget))]
        )


def test_a_forget_split_refuses_classes_that_are_no_proper_subset(digits):
    with pytest.raises(ValueError, match="all 10 classes"):
        ForgetSplit(digits, range(10))
    with pytest.raises(ValueError, match="empty"):
        ForgetSplit(digits, [])


TOUCHES = {
    "length": len,
    "truth": bool,
    "images": lambda s: s.images,
    "labels": lambda s: s.labels,
    "pixels": lambda s: s.pixels(),
    "subset": lambda s: s.subset(torch.tensor([0])),
    "device": lambda s: s.to(torch.device("cpu")),
    "batches": lambda s: s.batches(2, torch.Generator()),
    "words": repr,
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_a_forbidden_set_raises_on_any_touch(touch):
    forbidden = ForbiddenSet()
    assert isinstance(forbidden, ImageSet)
    with pytest.raises(PermissionError, match="this method may not"):
        touch(forbidden)


# --- digits ---------------------------------------------------------------------------------------


def test_digits_are_1797_grey_images_of_ten_classes(digits):
    assert digits.name == "digits"
    assert digits.class_names == tuple("0123456789")
    assert digits.num_classes == 10
    assert sum(len(getattr(digits, part)) for part in PARTS) == 1797
    assert digits.train.images.shape[1:] == (1, 8, 8)
    assert digits.train.images.dtype == torch.uint8
    assert digits.train.labels.dtype == torch.int64
    assert digits.train.images.min() == 0
    assert digits.train.images.max() == 255


def test_digits_are_divided_60_15_25_in_every_class(digits):
    counts = torch.stack([getattr(digits, part).labels.bincount() for part in PARTS]).double()
    shares = counts / counts.sum(0)
    wanted = torch.tensor([0.6, 0.15, 0.25], dtype=torch.float64)[:, None]
    assert (shares - wanted).abs().max() < 0.005


def test_digits_hold_every_image_of_scikit_learn_once(digits):
    from sklearn.datasets import load_digits

    found = sorted(
        (label, image.numpy().tobytes())
        for part in PARTS
        for image, label in zip(
            getattr(digits, part).images, getattr(digits, part).labels.tolist(), strict=True
        )
    )
    bunch = load_digits()
    scaled = [np.rint(image * 255 / 16).astype(np.uint8).tobytes() for image in bunch.images]
    assert found == sorted(zip(bunch.target.tolist(), scaled, strict=True))


def test_digits_are_divided_alike_every_time(digits):
    torch.manual_seed(9)
    again = load_dataset("digits")
    for part in PARTS:
        assert torch.equal(getattr(again, part).images, getattr(digits, part).images)


def test_channel_statistics_are_those_of_the_training_pixels(image_folder):
    rng = np.random.default_rng(0)
    pictures = {
        f"{part}/{c}": rng.integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
        for part in ("train", "test")
        for c in "ab"
    }
    dataset = load_dataset(f"folder:{image_folder(pictures)}")
    mean, std = dataset.channel_statistics()
    pixels = dataset.train.images.numpy().transpose(1, 0, 2, 3).reshape(3, -1) / 255.0
    assert mean == pytest.approx(pixels.mean(axis=1), abs=1e-6)
    assert std == pytest.approx(pixels.std(axis=1, ddof=1), abs=1e-6)


def test_a_constant_channel_has_a_standard_deviation_above_zero(samples):
    black = ImageSet(torch.zeros_like(samples.images), samples.labels)
    assert min(Dataset("x", tuple("abcd"), black, black, black).channel_statistics()[1]) > 0


# --- folders --------------------------------------------------------------------------------------


@pytest.fixture
def faces(image_folder):
    pictures = np.arange(20 * 16, dtype=np.uint8).reshape(20, 4, 4)
    return image_folder({f"{part}/{who}": pictures for part in ("train", "test") for who in "ab"})


def test_a_folder_is_a_data_set_with_a_validation_part(faces):
    dataset = load_dataset(f"folder:{faces}", validation=0.2)
    assert dataset.class_names == ("a", "b")
    assert dataset.name == "folder:pictures"
    assert [len(getattr(dataset, part)) for part in PARTS] == [32, 8, 40]
    assert dataset.validation.labels.bincount().tolist() == [4, 4]


def test_a_folder_can_be_resized(faces):
    assert load_dataset(f"folder:{faces}", size=7).test.images.shape == (40, 1, 7, 7)


def test_a_relative_folder_is_looked_for_here_and_then_below_the_data_root(faces, monkeypatch):
    monkeypatch.setenv("SPOTTER_DATA", str(faces.parent))
    monkeypatch.chdir(faces)
    assert len(load_dataset("folder:pictures").test) == 40
    monkeypatch.setenv("SPOTTER_DATA", str(faces / "nowhere"))
    monkeypatch.chdir(faces.parent)
    assert len(load_dataset("folder:pictures").test) == 40
    monkeypatch.chdir(faces)
    with pytest.raises(FileNotFoundError, match=r"'pictures' is not there.*nowhere.pictures"):
        load_dataset("folder:pictures")


@pytest.fixture
def decodings(monkeypatch):
    """How many files every decoding read."""
    counts = []
    decode = folders.decode

    def counted(paths, *, size):
        counts.append(len(paths))
        return decode(paths, size=size)

    monkeypatch.setattr(folders, "decode", counted)
    return counts


def same(a, b):
    return a.class_names == b.class_names and all(
        torch.equal(getattr(getattr(a, part), what), getattr(getattr(b, part), what))
        for part in PARTS
        for what in ("images", "labels")
    )


def test_a_folder_is_decoded_once(faces, decodings, cache):
    first = load_dataset(f"folder:{faces}")
    again = load_dataset(f"folder:{faces}", validation=0.3)
    assert decodings == [80]
    assert same(first, load_dataset(f"folder:{faces}"))
    assert torch.equal(again.test.images, first.test.images)
    [kept] = (cache / "decoded").iterdir()
    assert kept.name.startswith("pictures-")


def test_every_size_is_decoded_and_kept_by_itself(faces, decodings):
    for size in (None, 3, None, 3):
        side = load_dataset(f"folder:{faces}", size=size).test.images.shape[-1]
        assert side == (size or 4)
    assert decodings == [80, 80]


def brighter(path):
    Image.fromarray(np.full((4, 4), 255, dtype=np.uint8)).save(path)


def brighter_with_the_old_date(path):
    stat = path.stat()
    brighter(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replaced(path):
    stat = path.stat()
    other = path.with_name("new.png")
    brighter(other)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


def deleted(path):
    path.unlink()


def added(path):
    brighter(path.with_name("new.png"))


@pytest.mark.parametrize(
    ("change", "count", "white"),
    [
        (brighter, 40, 1),
        (brighter_with_the_old_date, 40, 1),
        (replaced, 40, 1),
        (deleted, 39, 0),
        (added, 41, 1),
    ],
)
def test_a_changed_folder_is_decoded_anew(faces, decodings, change, count, white):
    before = load_dataset(f"folder:{faces}")
    time.sleep(TICK)
    change(faces / "test/a/003.png")
    after = load_dataset(f"folder:{faces}")
    assert len(decodings) == 2
    assert len(after.test) == count
    assert int((after.test.images == 255).flatten(1).all(1).sum()) == white
    assert after.digest() != before.digest()
    assert same(after, load_dataset(f"folder:{faces}"))
    assert len(decodings) == 2


def test_a_cache_cut_short_is_decoded_anew(faces, decodings, cache):
    first = load_dataset(f"folder:{faces}")
    [kept] = (cache / "decoded").iterdir()
    kept.write_bytes(kept.read_bytes()[:-7])
    assert same(first, load_dataset(f"folder:{faces}"))
    assert decodings == [80, 80]


def test_without_a_cache_the_data_are_the_same_and_a_line_says_why(faces, cache, caplog):
    first = load_dataset(f"folder:{faces}")
    assert not caplog.records
    (cache / "decoded").rename(cache / "away")
    (cache / "decoded").write_text("a file where a folder should be")
    assert same(first, load_dataset(f"folder:{faces}"))
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "every start makes it anew" in caplog.text


def test_a_broken_image_is_named_and_nothing_is_kept(faces, cache):
    (faces / "train/a/003.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a.003\.png can't be read as an image"):
        load_dataset(f"folder:{faces}")
    assert not (cache / "decoded").exists()


def test_a_size_of_nothing_is_refused(faces):
    with pytest.raises(ValueError, match="size must be above 0, got 0"):
        load_dataset(f"folder:{faces}", size=0)


# --- what stands for the content ------------------------------------------------------------------


def plain(dataset):
    """The same data without fingerprints that came with them."""
    parts = {part: getattr(dataset, part) for part in PARTS}
    return replace(dataset, **{n: ImageSet(p.images, p.labels) for n, p in parts.items()})


def test_equal_content_has_an_equal_digest_whichever_way_it_came(faces, digits, monkeypatch):
    fresh = load_dataset(f"folder:{faces}")
    kept = load_dataset(f"folder:{faces}")
    elsewhere = faces.parent / "elsewhere" / "pictures"
    elsewhere.parent.mkdir()
    faces.rename(elsewhere)
    moved = load_dataset(f"folder:{elsewhere}")
    digests = {d.digest() for d in (fresh, kept, moved, plain(kept), kept.to(torch.device("cpu")))}
    assert len(digests) == 1
    assert digits.digest() == plain(digits).digest()
    monkeypatch.setattr(data, "image_fingerprints", None)
    assert kept.digest() in digests  # nothing hashed anew


def test_other_content_has_another_digest(faces):
    dataset = load_dataset(f"folder:{faces}")
    others = [load_dataset(f"folder:{faces}", validation=0.5)]
    for part in PARTS:
        samples = getattr(dataset, part)
        for images, labels in [
            (255 - samples.images, samples.labels),
            (samples.images, 1 - samples.labels),
            (samples.images.flip(0), samples.labels),
            (samples.images.flatten(2), samples.labels),
            (samples.pixels(), samples.labels),
        ]:
            others.append(replace(dataset, **{part: ImageSet(images, labels)}))
        others.append(replace(dataset, **{part: replace(samples, images=255 - samples.images)}))
    digests = [d.digest() for d in (dataset, *others)]
    assert len(set(digests)) == len(digests) - len(PARTS)  # replace() did what ImageSet() did


# --- faces ----------------------------------------------------------------------------------------


def test_seven_images_a_class_leave_one_for_validation(image_folder):
    pictures = np.arange(40 * 10 * 12, dtype=np.uint16).astype(np.uint8).reshape(40, 10, 4, 3)
    people = {f"train/s{i:02}": p[:7] for i, p in enumerate(pictures)}
    people |= {f"test/s{i:02}": p[7:] for i, p in enumerate(pictures)}
    dataset = load_dataset(f"folder:{image_folder(people, suffix='.pgm')}", size=6)
    assert dataset.train.images.shape == (240, 1, 6, 6)
    counts = [getattr(dataset, part).labels.bincount().unique().tolist() for part in PARTS]
    assert counts == [[6], [1], [3]]
    split = ForgetSplit(dataset, [0, 39])
    assert [len(getattr(split.forget, part)) for part in PARTS] == [12, 2, 6]
    assert [len(getattr(split.retain, part)) for part in PARTS] == [228, 38, 114]


@pytest.mark.parametrize(("count", "validation"), [(1, 0.1), (7, 0.95)])
def test_a_class_too_small_for_a_validation_part_is_named(image_folder, count, validation):
    image = np.zeros((2, 2), dtype=np.uint8)
    folder = image_folder(
        {"train/a": [image] * count, "train/b": [image] * 90, "test/a": [image], "test/b": [image]}
    )
    with pytest.raises(ValueError, match=rf"class 0 has {count} samples, too few to set"):
        load_dataset(f"folder:{folder}", validation=validation)


def test_the_faces_of_att_if_they_are_at_hand(monkeypatch):
    monkeypatch.setenv("SPOTTER_DATA", str(REAL_DATA))
    try:
        dataset = load_dataset("folder:att-faces", size=32)
    except FileNotFoundError:
        pytest.skip("neither att-faces/ nor its archive is in SPOTTER_DATA or beside the project")
    assert dataset.num_classes == 40
    assert dataset.train.images.shape == (240, 1, 32, 32)
    assert [len(dataset.validation), len(dataset.test)] == [40, 120]


# --- torchvision's --------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty data folder, and no way to download into it."""

    def unreachable(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(datasets.cifar, "download_and_extract_archive", unreachable)
    monkeypatch.setenv("SPOTTER_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize(
    ("name", "folder", "archive"),
    [
        ("cifar10", "cifar-10-batches-py/", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-python/", "cifar-100-python.tar.gz"),
    ],
)
def test_cifar_neither_cached_nor_reachable_says_what_to_put_where(
    root, name, folder, archive, download
):
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset(name, download=download)
    message = str(caught.value)
    for part in (name, str(root), folder, archive, "SPOTTER_DATA", "download=True"):
        assert part in message
    assert ("no route to host" in message) == download
    assert list(root.glob("*")) == []


def write_batches(folder, batches, monkeypatch, cls):
    """Write pickled batches as CIFAR ships them, and their checksums into torchvision's class."""
    folder.mkdir()
    sums = {}
    for name, content in batches.items():
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()
    for listing in ("train_list", "test_list"):
        known = [[name, sums[name]] for name, _ in getattr(cls, listing)]
        monkeypatch.setattr(cls, listing, known)
    meta = cls.meta | {"md5": sums[cls.meta["filename"]]}
    monkeypatch.setattr(cls, "meta", meta)


def images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def test_cifar10_as_torchvision_caches_it_is_read_without_a_network(root, monkeypatch):
    names = ["airplane", "automobile", "bird"]
    labels = [0, 1, 2, 0, 1, 2]
    train = [f"data_batch_{i}" for i in range(1, 6)]
    batches = {n: {"data": images(6, i), "labels": labels} for i, n in enumerate(train)}
    batches["test_batch"] = {"data": images(6, 9), "labels": labels}
    batches["batches.meta"] = {"label_names": names}
    write_batches(root / "cifar-10-batches-py", batches, monkeypatch, datasets.CIFAR10)

    dataset = load_dataset("cifar10", validation=0.2)
    assert dataset.class_names == tuple(names)
    assert [len(getattr(dataset, part)) for part in PARTS] == [24, 6, 6]
    assert dataset.test.labels.tolist() == labels
    assert dataset.test.images.dtype == torch.uint8
    assert dataset.test.images.is_contiguous()
    expected = torch.from_numpy(images(6, 9)).view(6, 3, 32, 32)
    assert torch.equal(dataset.test.images, expected)


def test_cifar100_has_its_fine_labels(root, monkeypatch):
    batches = {
        part: {"data": images(20, 0), "fine_labels": [0, 1] * 10, "coarse_labels": [0] * 20}
        for part in ("train", "test")
    }
    batches["meta"] = {"fine_label_names": ["apple", "whale"], "coarse_label_names": ["thing"]}
    write_batches(root / "cifar-100-python", batches, monkeypatch, datasets.CIFAR100)
    dataset = load_dataset("cifar100")
    assert dataset.class_names == ("apple", "whale")
    assert [len(getattr(dataset, part)) for part in PARTS] == [18, 2, 20]


def test_a_damaged_cifar_is_an_error_that_says_what_to_do(root, monkeypatch):
    batches = {n: {"data": images(2, 0), "fine_labels": [0, 1]} for n in ("train", "test")}
    batches["meta"] = {"fine_label_names": ["apple", "whale"]}
    write_batches(root / "cifar-100-python", batches, monkeypatch, datasets.CIFAR100)
    (root / "cifar-100-python" / "train").write_bytes(b"cut short")
    with pytest.raises(FileNotFoundError, match=r"corrupted.* put cifar-100-python/ there"):
        load_dataset("cifar100")


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "folder:", "digits ", "", "FOLDER:x"])
def test_an_unknown_name_is_refused_with_those_that_are_known(name):
    with pytest.raises(ValueError, match="expected one of digits, cifar10, cifar100, folder:PATH"):
        load_dataset(name)


@pytest.mark.parametrize("validation", [0.0, 1.0, -1.0])
def test_a_validation_share_outside_its_range_is_refused(validation):
    with pytest.raises(ValueError, match=r"validation must lie inside \(0, 1\)"):
        load_dataset("digits", validation=validation)
