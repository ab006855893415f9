"""The head of somebody's network: found where there is one, asked for where there are more."""

import copy

import pytest
import torch
from audit_kit import Attentive, Plain, Softmaxed, TwoHeaded
from torch import nn

from spotter_core.heads import as_classifier
from spotter_core.models import build_model
from spotter_core.relearning import FineTuning, Held
from spotter_core.stages import find_stages

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def wrapped(module, head=None, num_classes=4):
    return as_classifier(
        module.eval(), mean=MEAN, std=STD, num_classes=num_classes, example=IMAGES, head=head
    )


def normalised(images):
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@pytest.mark.parametrize("kind", [Plain, Attentive])
def test_a_cnn_and_a_transformer_are_classifiers_wherever_their_head_stands(kind, unchanged):
    network = kind()
    with unchanged(network.eval()):
        classifier = wrapped(network)
    expected = network(normalised(IMAGES))
    torch.testing.assert_close(classifier(IMAGES), expected)
    features = classifier.features(IMAGES)
    torch.testing.assert_close(classifier.head(features), expected)


def test_a_bare_linear_layer_and_a_classifier_of_ours_pass():
    flat = nn.Linear(3 * 8 * 8, 4)
    with pytest.raises(ValueError, match="does not take images of shape"):
        wrapped(flat)
    own = build_model("small_cnn", num_classes=4, width=4, input_shape=(3, 8, 8))
    assert wrapped(own) is own
    with pytest.raises(ValueError, match="the head has 4 outputs, but the images are of 6 classes"):
        wrapped(own, num_classes=6)


def test_two_candidates_are_named_and_either_can_be_taken():
    network = TwoHeaded()
    with pytest.raises(ValueError, match=r"2 candidates for the head: .*out, other .*--head other"):
        wrapped(network)
    first, second = network(normalised(IMAGES))
    torch.testing.assert_close(wrapped(network, "out")(IMAGES), first)
    torch.testing.assert_close(wrapped(network, "other")(IMAGES), second)


def test_what_follows_the_head_is_refused_unless_the_head_is_named():
    with pytest.raises(ValueError, match=r"no head: Softmaxed .*softmax.*--head out"):
        wrapped(Softmaxed())
    network = Softmaxed()
    classifier = wrapped(network, "out")
    torch.testing.assert_close(classifier(IMAGES).softmax(1), network(normalised(IMAGES)))


def test_a_named_head_trains_copies_and_has_stages_as_any_other(samples):
    classifier = wrapped(TwoHeaded(), "other")
    twin = copy.deepcopy(classifier)
    assert twin.backbone.module.other is twin.head
    assert list(find_stages(classifier)) != []
    images = samples.subset(torch.arange(24))
    held = Held(images.subset(images.labels == 0), images, images, images)
    attack = FineTuning(steps=(1, 2), learning_rates=(0.1,))
    before = classifier(samples.pixels())
    assert len(attack(classifier, held, {"forget/test": images}).curves) == 1
    torch.testing.assert_close(classifier(samples.pixels()), before)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("conv", "head 'conv' is no nn.Linear of the network; it has hidden, out"),
        ("nose", "head 'nose' is no nn.Linear"),
        ("hidden", "head 'hidden' has 16 outputs, but the images are of 4 classes"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_ones(head, message):
    with pytest.raises(ValueError, match=message):
        wrapped(Plain(), head)


def test_a_network_without_a_head_or_of_other_images_is_refused():
    bare = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten())
    with pytest.raises(ValueError, match=r"no head: Sequential has no nn\.Linear layer"):
        wrapped(bare)
    with pytest.raises(ValueError, match="head 'out' has 4 outputs, but the images are of 7"):
        wrapped(Plain(), "out", num_classes=7)
    grey = Plain()
    grey.conv = nn.Conv2d(1, 12, 3, padding=1)
    with pytest.raises(ValueError, match=r"does not take images of shape \(3, 8, 8\)"):
        wrapped(grey)
