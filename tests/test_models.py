import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F
from torchvision import models as zoo
from torchvision.models.maxvit import MaxVit
from torchvision.models.vision_transformer import VisionTransformer

from spotter_core.models import (
    ARCHITECTURES,
    Classifier,
    build_model,
    wrap,
)

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def seeded(seed=0):
    return Generator().manual_seed(seed)


def normalised(images):
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


# --- built here -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 12)])
@pytest.mark.parametrize(
    ("name", "width", "features"),
    [
        ("mlp", 6, 6),
        ("small_cnn", 4, 32),
        ("resnet18", 2, 16),
        ("resnet18", 16, 128),
        ("vit", 6, 6),
    ],
)
def test_forward_is_head_of_features(name, width, features, shape):
    model = build_model(name, num_classes=5, width=width, input_shape=shape, generator=seeded())
    model.eval()
    images = torch.rand(3, *shape, generator=seeded(1))
    found = model.features(images)
    assert found.shape == (3, features)
    assert torch.equal(model(images), model.head(found))
    assert model(images).shape == (3, 5)
    assert model.num_classes == 5
    assert model.device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "features"), [("mlp", 32), ("small_cnn", 256), ("resnet18", 512), ("vit", 192)]
)
def test_default_widths_are_the_documented_ones(name, features):
    assert build_model(name, num_classes=2, input_shape=(3, 8, 8)).head.in_features == features


def test_an_mlp_takes_points_of_the_plane():
    model = build_model("mlp", num_classes=3, width=4, input_shape=(2,))
    assert model(torch.rand(5, 2)).shape == (5, 3)


def test_resnet18_is_the_cifar_network_of_the_paper():
    model = build_model("resnet18", num_classes=10)
    assert sum(p.numel() for p in model.parameters()) == 11_173_962
    stem = model.backbone.stem[0]
    assert (stem.kernel_size, stem.stride) == ((3, 3), (1, 1))
    assert not any(isinstance(m, nn.MaxPool2d) for m in model.modules())


def test_normalisation_is_inside_and_by_channel():
    model = build_model(
        "mlp", num_classes=4, width=6, input_shape=(3, 2, 2), mean=MEAN, std=STD
    ).eval()
    images = torch.rand(5, 3, 2, 2)
    torch.testing.assert_close(model.features(images), model.backbone(normalised(images)))


def test_equal_generators_build_equal_networks_and_leave_the_global_one_alone():
    settings = {"num_classes": 4, "width": 3, "input_shape": (3, 8, 8)}
    before = torch.get_rng_state()
    first = build_model("small_cnn", **settings, generator=seeded(1))
    assert same_weights(first, build_model("small_cnn", **settings, generator=seeded(1)))
    assert not same_weights(first, build_model("small_cnn", **settings, generator=seeded(2)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fresh_network_has_the_architecture_and_other_weights_reproducibly(unchanged):
    model = build_model(
        "small_cnn", num_classes=4, width=3, input_shape=(3, 8, 8), mean=MEAN, std=STD
    )
    with unchanged(model):
        fresh = model.fresh(seeded(5))
    assert fresh.spec == model.spec
    assert torch.equal(fresh.mean, model.mean)
    assert torch.equal(fresh.std, model.std)
    assert same_weights(fresh, model.fresh(seeded(5)))
    assert not same_weights(fresh, model)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_of_an_architecture_gets_a_gradient(name):
    model = build_model(name, num_classes=3, width=4, input_shape=(3, 8, 8), generator=seeded())
    model(torch.rand(8, 3, 8, 8, generator=seeded(1))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet50"}, "name must be one of mlp, resnet18, small_cnn, vit; got 'resnet50'"),
        ({"num_classes": 0}, "num_classes must be above 0"),
        ({"width": -1}, "width must be above 0"),
        ({"std": [0.2, 0.0, 0.2]}, r"std\[1\] must be above 0"),
        ({"mean": [0.5]}, "mean and std must have one length, got 1 and 3"),
    ],
)
def test_settings_that_build_no_network_are_refused(settings, message):
    settings = {"name": "mlp", "num_classes": 2, "input_shape": (3, 4, 4)} | settings
    with pytest.raises(ValueError, match=message):
        build_model(**settings)


def test_images_with_other_channels_are_refused(model):
    with pytest.raises(ValueError, match=r"must be \(N, 3, \.\.\.\) .* got shape \(2, 1, 4, 4\)"):
        model(torch.rand(2, 1, 4, 4))


def test_a_backbone_that_does_not_fit_its_head_is_refused():
    model = Classifier(nn.Identity(), nn.Linear(4, 2), mean=[0.0] * 3, std=[1.0] * 3)
    with pytest.raises(ValueError, match=r"returned shape \(2, 3, 4, 4\), expected \(N, 4\)"):
        model(torch.rand(2, 3, 4, 4))


# --- wrapped --------------------------------------------------------------------------------------


def tiny_vit():
    return VisionTransformer(
        image_size=32,
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=8,
        num_classes=5,
    )


def tiny_maxvit():
    return MaxVit(
        input_size=(32, 32),
        stem_channels=8,
        partition_size=4,
        block_channels=[8],
        block_layers=[1],
        head_dim=4,
        stochastic_depth_prob=0.0,
        num_classes=5,
    )


ZOO = {
    "resnet18": lambda: zoo.resnet18(num_classes=5),
    "mobilenet_v3_small": lambda: zoo.mobilenet_v3_small(num_classes=5),
    "shufflenet_v2_x0_5": lambda: zoo.shufflenet_v2_x0_5(num_classes=5),
    "efficientnet_b0": lambda: zoo.efficientnet_b0(num_classes=5),
    "densenet121": lambda: zoo.densenet121(num_classes=5),
    "googlenet": lambda: zoo.googlenet(num_classes=5, init_weights=False),
    "convnext_tiny": lambda: zoo.convnext_tiny(num_classes=5),
    "swin_t": lambda: zoo.swin_t(num_classes=5),
    "vision transformer": tiny_vit,
    "maxvit, no bias": tiny_maxvit,
}


class Own(nn.Module):
    """The last linear layer has an odd name, sits deep inside, and is used after a reshape."""

    def __init__(self, bias):
        super().__init__()
        self.zz_first = nn.Linear(3 * 32 * 32, 6)
        self.deep = nn.ModuleDict({"er": nn.Sequential(nn.ReLU(), nn.Linear(6, 5, bias=bias))})

    def forward(self, x):
        return self.deep["er"](self.zz_first(x.flatten(1)))


OWN = {
    "odd name": lambda: Own(bias=True),
    "no bias": lambda: Own(bias=False),
    "a sequence": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)),
    "ends in dropout": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 5), nn.Dropout()),
}


@pytest.mark.parametrize("make", [*ZOO.values(), *OWN.values()], ids=[*ZOO, *OWN])
def test_a_wrapped_network_gives_the_logits_of_the_module_and_leaves_it_alone(make, unchanged):
    module = make().eval()
    images = torch.rand(2, 3, 32, 32, generator=seeded(1))
    with unchanged(module), torch.no_grad():
        model = wrap(module, mean=MEAN, std=STD)
        model.head.weight.add_(0.0)
        assert torch.equal(model(images), module(normalised(images)))
        assert torch.equal(model(images), model.head(model.features(images)))
        assert model.features(images).shape == (2, model.head.in_features)
        model.head.weight.zero_()  # a copy: the module must not notice
    assert model.num_classes == 5
    assert model.spec is None
    assert (model.head.bias is None) == (make in (tiny_maxvit, OWN["no bias"]))


def test_a_bare_linear_layer_can_be_wrapped():
    module = nn.Linear(12, 5)
    model = wrap(module, mean=MEAN, std=STD)
    images = torch.rand(4, 3, 2, 2)
    torch.testing.assert_close(model(images), module(normalised(images).flatten(1)))
    assert model.head.weight.data_ptr() != module.weight.data_ptr()


def test_a_wrapped_vision_transformer_has_gradients_of_images_and_weights():
    model = wrap(tiny_vit(), mean=MEAN, std=STD).eval()
    nn.init.normal_(model.head.weight)  # torchvision starts it at zero
    images = torch.rand(2, 3, 32, 32, generator=seeded(1)).requires_grad_()
    model(images).square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert model.backbone.conv_proj.weight.grad.abs().sum() > 0


def test_gradients_reach_a_wrapped_backbone():
    model = wrap(Own(bias=True), mean=MEAN, std=STD)
    model(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert model.backbone.zz_first.weight.grad.abs().sum() > 0
    assert model.head.weight.grad.abs().sum() > 0


def test_a_network_without_a_linear_layer_is_refused():
    with pytest.raises(ValueError, match=r"SqueezeNet has no nn\.Linear layer"):
        wrap(zoo.squeezenet1_1(num_classes=5), mean=MEAN, std=STD)


class GoesOn(nn.Module):
    """What follows the last linear layer would silently be done to the features instead."""

    def __init__(self, end):
        super().__init__()
        self.first, self.last, self.end = nn.Linear(12, 6), nn.Linear(6, 6), end

    def forward(self, x):
        return self.end(self.last(F.relu(self.first(x.flatten(1)))))


class LastIsNoHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.gate = nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x):
        return self.head(self.gate(x.flatten(1)).sigmoid())


@pytest.mark.parametrize(
    "module",
    [
        GoesOn(nn.LogSoftmax(dim=1)),
        GoesOn(nn.Softmax(dim=1)),
        GoesOn(lambda z: z / 2.0),
        GoesOn(lambda z: (z, z)),
        LastIsNoHead(),
    ],
    ids=["log-softmax", "softmax", "temperature", "two results", "last is no head"],
)
def test_a_network_that_does_not_end_in_its_last_linear_layer_is_refused_when_used(module):
    model = wrap(module, mean=MEAN, std=STD)
    with pytest.raises(ValueError, match=r"does not return what its last nn\.Linear makes"):
        model(torch.rand(2, 3, 2, 2))


def test_a_wrapped_network_can_not_be_made_fresh():
    with pytest.raises(ValueError, match=r"was wrapped and can't be initialised anew"):
        wrap(nn.Linear(12, 5), mean=MEAN, std=STD).fresh(seeded())
