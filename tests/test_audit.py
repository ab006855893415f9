"""The audit as its users run it: networks and images of theirs, a report, an exit status."""

import importlib
import re
import sys

import pytest
import torch
from audit_kit import CLASSES, Attentive, Plain, TwoHeaded, pictures, train
from PIL import Image

from spotter_core.audit import main
from spotter_core.result_files import load_result
from spotter_core.results import to_frame

FORGOTTEN = 2


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A folder with a user's images and checkpoints."""
    root = tmp_path_factory.mktemp("user")
    for part, count, seed in (("train", 120, 0), ("test", 64, 1)):
        images, labels = pictures(count, seed)
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            folder = root / "images" / part / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:03}.png")
    images, labels = pictures(400, 2)
    keep, floats = labels != FORGOTTEN, images / 255.0
    torch.manual_seed(0)
    for kind, name in ((Plain, ""), (Attentive, "vit_")):
        original = train(kind(), floats, labels, steps=120)
        torch.save(original.state_dict(), root / f"{name}original.pt")
        wrong = torch.where(keep, labels, (labels + 1) % 4)
        train(original, floats, wrong, steps=40, rate=0.003)
        torch.save({"state_dict": original.state_dict()}, root / f"{name}unlearned.pt")
    for number in (1, 2):
        oracle = train(Plain(), floats[keep], labels[keep], steps=120, seed=number)
        torch.save(oracle.state_dict(), root / f"oracle{number}.pt")
    torch.save(Plain(6).state_dict(), root / "six.pt")
    torch.save(Plain(4, 7).state_dict(), root / "narrow.pt")
    torch.save(Plain(), root / "pickled.pt")
    torch.save(TwoHeaded().state_dict(), root / "heads.pt")
    return root


@pytest.fixture
def audit(user, tmp_path, monkeypatch):
    """``audit(original="x.pt", ...)`` runs the command; ``None`` leaves an option out."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(user / "cache"))
    monkeypatch.chdir(user)
    monkeypatch.setattr("sys.path", [*sys.path])

    def call(*more, **given):
        options = {
            "factory": "audit_kit:Plain",
            "original": "original.pt",
            "unlearned": "unlearned.pt",
            "images": "images",
            "forget": "left",
            "mean": "0.5",
            "std": "0.25",
            "out": str(tmp_path / "out"),
        } | given
        words = [w for k, v in options.items() if v is not None for w in (f"--{k}", *v.split())]
        return main(["--quick", *words, *more])

    return call


def test_an_audit_with_oracles_leaves_report_and_result(audit, tmp_path, capsys):
    oracles = ["--oracle", "oracle1.pt", "--oracle", "oracle2.pt"]
    limits = ["--threshold", "forget_accuracy=0.5", "--threshold", "retain_accuracy=0.5"]
    assert audit(*oracles, *limits, name="crude", reads="unknown", says="gone") == 0
    printed = capsys.readouterr().out
    assert "forget_accuracy" in printed
    assert "kept" in printed
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in (
        "Audit of “crude”",
        "2 oracles",
        "0 of 2 declared thresholds",
        "above the oracle",
    ):
        assert words in html, words
    assert "can't be said" not in html
    assert "http" not in re.sub(r'src="data:[^"]*"', "", html)  # it stands alone
    assert html.count('src="data:image/png;base64,') == 3
    found = load_result(tmp_path / "out" / "result.json")
    assert found.claim == {
        "method": "crude",
        "forgets": ["left"],
        "reads": "unknown",
        "says": "gone",
    }
    frame = to_frame(found.rows)
    assert set(frame["method"]) == {"original", "crude", "retrain", "untrained"}
    assert set(frame.loc[frame["method"] == "retrain", "seed"]) == {0, 1}
    assert audit(*oracles, "--threshold", "forget_accuracy=0.5", name="crude") == 0


def test_an_audit_of_a_transformer_without_an_oracle_says_what_it_can_not(audit, tmp_path):
    given = {"original": "vit_original.pt", "unlearned": "vit_unlearned.pt"}
    status = audit("--threshold", "head_worst=0.01", factory="audit_kit:Attentive", **given)
    assert status == 1
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What can't be said without an oracle" in html
    assert "1 of 1 declared threshold exceeded" in html


def test_a_folder_that_is_not_divided_is_divided_and_the_report_says_so(audit, user, tmp_path):
    assert audit(images="images/train", forget="2") == 0
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "images were divided here" in html


def planes(features):
    return {name: rows[:, :2].double().numpy() for name, rows in features.items()}


@pytest.mark.slow
def test_the_whole_audit_trains_looks_at_every_layer_and_draws_the_embedding(
    audit, user, tmp_path, monkeypatch
):
    module = importlib.import_module("spotter_core.measurements.training_attacks")
    monkeypatch.setattr(module, "SHOTS", (0, 5))
    monkeypatch.setattr("spotter_core.report.common_embedding", lambda f, *_, **__: planes(f))
    words = ["--factory", "audit_kit:Plain", "--images", "images", "--forget", "left"]
    words += ["--original", "original.pt", "--unlearned", "unlearned.pt", "--mean", "0.5"]
    assert main([*words, "--std", "0.25", "--out", str(tmp_path / "out")]) == 0
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("Layer by layer", "Where the class sits", "Fine-tuning with k images"):
        assert words in html
    assert html.count('src="data:image/png;base64,') == 4


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"original": "gone.pt"}, r"original: gone\.pt is not there"),
        ({"unlearned": "pickled.pt"}, r"unlearned: pickled\.pt holds more than weights"),
        ({"unlearned": "narrow.pt"}, "unlearned: the weights are of another architecture than the"),
        ({"unlearned": "six.pt"}, "unlearned: out.bias .*has 6 classes and not 4"),
        ({"original": "six.pt"}, r"original: out.bias .*audit_kit:Plain for 4 classes.*6 classes"),
        ({"oracle": "six.pt"}, "oracle 1: .* has 6 classes and not 4"),
        ({"images": "nowhere"}, "images: nowhere is not there"),
        ({"images": None}, "one of images and dataset is needed"),
        (
            {"forget": "right"},
            "forget class 'right' is unknown; expected .*bright, dark, left, top",
        ),
        ({"shots": "50"}, "shots is 50, but forget class 'left' has 27 training images"),
        ({"shots": "7"}, "shots must be one of 1, 5, 10, 50, got 7"),
        ({"factory": "no_such_module:make"}, "No module named 'no_such_module'"),
        ({"factory": None}, "one of arch and factory is needed"),
        ({"factory": None, "arch": "resnet19"}, "arch 'resnet19' is unknown"),
        ({"mean": None}, "mean and std belong together"),
        ({"mean": None, "std": None}, "mean and std are needed"),
        ({"mean": "0.5 0.5"}, "mean and std are of 2 channels, but the images have 3"),
        ({"mean": "50"}, "original: it is right on .* check mean and std, size, and that its"),
        ({"head": "hidden"}, "head 'hidden' has 16 outputs, but the images are of 4 classes"),
        ({"name": "retrain"}, "name must be none of original, retrain, untrained"),
        ({"threshold": "pra"}, "threshold must look like pra=0.05, got 'pra'"),
        ({"threshold": "fame=1"}, "threshold 'fame' is unknown; expected one of forget_accuracy"),
        ({"threshold": "head_excess=0"}, "threshold head_excess needs an oracle"),
        ({"threshold": "fine_tuning=0"}, "threshold fine_tuning: quick leaves it out"),
        ({"epsilon": "0"}, "epsilon must be above 0"),
        ({"device": "cuda:99"}, "device 'cuda:99' was asked for"),
        (
            {"factory": "audit_kit:TwoHeaded", "original": "heads.pt", "unlearned": "heads.pt"},
            "2 candidates for the head: .*--head other",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(audit, capsys, given, message):
    if "device" in given and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert audit(**given) == 2
    told = capsys.readouterr().err
    assert told.startswith("audit: ")
    assert re.search(message, told, re.DOTALL), told
    assert "spotter_core" not in told or "factory" in told  # no traceback of ours
