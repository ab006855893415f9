"""The classifier that everything else relies on: features, then one linear head.

Layer 2: ``forward(x) == head(features(x))``; images in [0, 1] come in, normalisation is inside.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Generator, Tensor, nn

from spotter_core._checks import check_choice, check_positive
from spotter_core.architectures import MLP, ResNet18, SmallCNN, ViT
from spotter_core.runtime import global_seed_from

ARCHITECTURES: dict[str, type[MLP | SmallCNN | ResNet18 | ViT]] = {
    "mlp": MLP,
    "small_cnn": SmallCNN,
    "resnet18": ResNet18,
    "vit": ViT,
}
DEFAULT_WIDTHS = {"mlp": 32, "small_cnn": 32, "resnet18": 64, "vit": 192}


@dataclass(frozen=True)
class ModelSpec:
    """What :func:`build_model` needs to build a network again."""

    name: str
    num_classes: int
    width: int
    input_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Classifier(nn.Module):
    """A network seen as features and head; ``forward(x) == head(features(x))``.

    Args:
        backbone: Maps normalised inputs to ``(N, D)``.
        head: The last linear layer, with or without bias.
        mean: Subtracted from every channel of the images.
        std: Divides every channel after that; above 0.
        spec: How to build this network anew, if :func:`build_model` can.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Linear,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        spec: ModelSpec | None = None,
    ) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"mean and std must have one length, got {len(mean)} and {len(std)}")
        check_positive(**{f"std[{i}]": value for i, value in enumerate(std)})
        self.backbone = backbone
        self.head = head
        self.spec = spec
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.head.out_features

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def features(self, images: Tensor) -> Tensor:
        """Return ``(N, D)`` features of images in [0, 1].

        Raises:
            ValueError: If the channels do not match the normalisation, or the backbone returns
                anything but ``(N, D)`` with the head's D.
        """
        if images.ndim < 2 or images.shape[1] != len(self.mean):
            raise ValueError(
                f"images must be (N, {len(self.mean)}, ...) for this network, "
                f"got shape {tuple(images.shape)}"
            )
        shape = (-1,) + (1,) * (images.ndim - 2)
        features: Tensor = self.backbone((images - self.mean.view(shape)) / self.std.view(shape))
        if features.ndim != 2 or features.shape[1] != self.head.in_features:
            raise ValueError(
                f"the backbone returned shape {tuple(features.shape)}, expected "
                f"(N, {self.head.in_features}): its last linear layer is not what makes the logits"
            )
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, C)`` logits of images in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def fresh(self, generator: Generator) -> "Classifier":
        """Return a newly initialised network of the same architecture, on the same device.

        Raises:
            ValueError: If the network was wrapped, so that nobody here can build it anew.
        """
        if self.spec is None:
            raise ValueError(
                "this Classifier was wrapped and can't be initialised anew: "
                "build a new module and wrap() it again"
            )
        spec = asdict(self.spec)
        return build_model(spec.pop("name"), **spec, generator=generator).to(self.device)


def build_model(
    name: str,
    *,
    num_classes: int,
    width: int | None = None,
    input_shape: Sequence[int] = (3, 32, 32),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    generator: Generator | None = None,
) -> Classifier:
    """Return a newly initialised network.

    Args:
        name: ``"mlp"``, ``"small_cnn"``, ``"resnet18"`` or ``"vit"``.
        num_classes: C.
        width: Channels of the first layer, features of a token for ``"vit"``; default 64 for
            ResNet-18, as in the paper, 192 for the ViT, else 32.
        input_shape: Shape of one image, channels first.
        mean: Mean by channel, default 0.5 each; see ``Dataset.channel_statistics``.
        std: Standard deviation by channel, default 0.25 each.
        generator: Source of the initial weights; ``None`` draws from torch's global generator.

    Raises:
        ValueError: If the name is unknown or a number is out of range.
    """
    check_choice("name", name, ARCHITECTURES)
    if width is None:
        width = DEFAULT_WIDTHS[name]
    check_positive(num_classes=num_classes, width=width)
    channels = input_shape[0]
    spec = ModelSpec(
        name,
        num_classes,
        width,
        tuple(input_shape),
        tuple(mean) if mean is not None else (0.5,) * channels,
        tuple(std) if std is not None else (0.25,) * channels,
    )
    if generator is None:
        return _from_spec(spec)
    with global_seed_from(generator):
        return _from_spec(spec)


def _from_spec(spec: ModelSpec) -> Classifier:
    backbone = ARCHITECTURES[spec.name](spec.input_shape, spec.width)
    head = nn.Linear(backbone.out_features, spec.num_classes)
    return Classifier(backbone, head, mean=spec.mean, std=spec.std, spec=spec)


class HeadInput(nn.Identity):
    """Stands in a wrapped backbone where the head was, and marks what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` as a tensor of its own that carries the mark."""
        marked = x.view_as(x)
        marked.is_head_input = True  # type: ignore[attr-defined]
        return marked


def check_ends_in_head(module: nn.Module, inputs: object, output: object) -> None:
    """Refuse a network that goes on behind its last linear layer; hook of a wrapped backbone."""
    if not getattr(output, "is_head_input", False):
        raise ValueError(
            f"{type(module).__name__} does not return what its last nn.Linear makes: a Classifier "
            "needs a network that ends in it; take out what follows, such as a (log-)softmax"
        )


def wrap(module: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> Classifier:
    """Return a :class:`Classifier` around a copy of any network that ends in a linear layer.

    The last ``nn.Linear`` of ``module``, whatever its name, becomes the head, and everything
    before it the backbone. ``module`` itself is left as it is.

    Args:
        module: Takes *normalised* images, as torchvision's models do; returns ``(N, C)`` logits.
        mean: Mean by channel that it was trained with.
        std: Standard deviation by channel that it was trained with.

    Raises:
        ValueError: If there is no linear layer; at the first use, if its output is not what
            ``module`` returns.
    """
    linear = [name for name, child in module.named_modules() if isinstance(child, nn.Linear)]
    if not linear:
        raise ValueError(
            f"{type(module).__name__} has no nn.Linear layer: a Classifier needs one as its head"
        )
    if linear[-1] == "":
        return Classifier(nn.Flatten(), copy.deepcopy(module), mean=mean, std=std)  # type: ignore[arg-type]
    backbone = copy.deepcopy(module)
    parent_name, _, attribute = linear[-1].rpartition(".")
    parent = backbone.get_submodule(parent_name)
    head = getattr(parent, attribute)
    setattr(parent, attribute, HeadInput())
    backbone.register_forward_hook(check_ends_in_head)
    return Classifier(backbone, head, mean=mean, std=std)
