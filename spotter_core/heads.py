"""Which linear layer of a foreign network is its head, found by looking at what it returns.

Layer 3.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spotter_core.models import Classifier, HeadInput, check_ends_in_head
from spotter_core.runtime import evaluating


class InputOf(nn.Module):
    """A network as the features that reach one of its layers, whatever it goes on to do."""

    def __init__(self, module: nn.Module, layer: str) -> None:
        super().__init__()
        self.module = module
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer is given."""
        given: list[Tensor] = []
        handle = self.module.get_submodule(self.layer).register_forward_pre_hook(
            lambda _, inputs: given.append(inputs[0])
        )
        try:
            self.module(x)
        finally:
            handle.remove()
        return given[-1]


def as_classifier(
    module: nn.Module,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    num_classes: int,
    example: Tensor,
    head: str | None = None,
) -> Classifier:
    """Return a :class:`Classifier` around a copy of a network, its head found or named.

    The head is the linear layer with C outputs that makes what the network returns. Where the
    network returns several things, or goes on behind its linear layers, nobody but its owner can
    say which one is meant.

    Args:
        module: Takes normalised images; left as it is. A ``Classifier`` is returned as it is.
        mean: By channel.
        std: By channel.
        num_classes: C.
        example: ``(N, ...)`` images in [0, 1], to try it on.
        head: Dotted name of the head; the network may then return what it likes.

    Raises:
        ValueError: If no layer or several may be the head, the named one is none, it has another
            number of outputs, or the network does not take the images.
    """
    if isinstance(module, Classifier):
        check_outputs(module.head.out_features, num_classes, "the head")
        try_on(module, example)
        return module
    returned, made = outputs_of(module, normalised(example, mean, std))
    name = find_head(module, returned, made, num_classes) if head is None else head
    layer = dict(module.named_modules()).get(name)
    if not isinstance(layer, nn.Linear):
        linear = ", ".join(n or "(the network itself)" for n in linear_layers(module))
        raise ValueError(f"head {name!r} is no nn.Linear of the network; it has {linear or 'none'}")
    check_outputs(layer.out_features, num_classes, f"head {name!r}")
    if name == "":
        return Classifier(nn.Flatten(), copy.deepcopy(layer), mean=mean, std=std)
    own = copy.deepcopy(module)
    parent_name, _, attribute = name.rpartition(".")
    parent = own.get_submodule(parent_name)
    own_head: nn.Linear = getattr(parent, attribute)
    if returned is made.get(name):
        setattr(parent, attribute, HeadInput())
        own.register_forward_hook(check_ends_in_head)
        backbone: nn.Module = own
    else:
        backbone = InputOf(own, name)
    classifier = Classifier(backbone, own_head, mean=mean, std=std)
    try_on(classifier, example)
    return classifier


def linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """Return all linear layers by dotted name, in the order of their making."""
    return {n: child for n, child in module.named_modules() if isinstance(child, nn.Linear)}


def find_head(
    module: nn.Module, returned: object, made: dict[str, Tensor], num_classes: int
) -> str:
    """Return the name of the linear layer that makes what the network returns.

    Args:
        module: The network.
        returned: By it.
        made: Output of every linear layer in that pass.
        num_classes: C.

    Raises:
        ValueError: If there is none, or there are several.
    """
    linear = linear_layers(module)
    if not linear:
        raise ValueError(
            f"no head: {type(module).__name__} has no nn.Linear layer, and a Classifier needs one "
            "that makes the logits"
        )
    makers = [name for name, output in made.items() if output is returned]
    if makers:
        return makers[-1]
    fitting = [name for name, layer in linear.items() if layer.out_features == num_classes]
    kind = f"{type(module).__name__} returns a {type(returned).__name__} that"
    if len(fitting) > 1:
        raise ValueError(
            f"{len(fitting)} candidates for the head: {kind} no linear layer makes alone, and "
            f"{', '.join(fitting)} have {num_classes} outputs each: name one, --head {fitting[-1]}"
        )
    if not fitting:
        sizes = ", ".join(
            f"{n or type(module).__name__}: {v.out_features}" for n, v in linear.items()
        )
        raise ValueError(
            f"no head: {kind} no linear layer makes, and none has an output for each of the "
            f"{num_classes} classes ({sizes}): pass the images of all classes of the network"
        )
    raise ValueError(
        f"no head: {kind} no linear layer makes, so the network goes on behind it: take out what "
        f"follows, such as a (log-)softmax, or, if {fitting[0]} makes the logits, name it: "
        f"--head {fitting[0]}"
    )


def outputs_of(module: nn.Module, images: Tensor) -> tuple[object, dict[str, Tensor]]:
    """Return what a network returns for normalised images, and every linear layer's output."""
    made: dict[str, Tensor] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        return linear[name].register_forward_hook(
            lambda _, inputs, output: made.__setitem__(name, output)
        )

    linear = linear_layers(module)
    handles = [keep(name) for name in linear]
    try:
        return run(module, images), made
    finally:
        for handle in handles:
            handle.remove()


def run(module: nn.Module, images: Tensor) -> object:
    """Return what a network makes of images, in eval mode.

    Raises:
        ValueError: If it does not take them; its own error is shown.
    """
    try:
        with torch.no_grad(), evaluating(module):
            returned: object = module(images)
            return returned
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        raise ValueError(
            f"the network does not take images of shape {tuple(images.shape[1:])} ({error}): "
            "--size resizes them, and as many numbers after --mean as it has channels repeat "
            "grey images"
        ) from error


def try_on(classifier: Classifier, example: Tensor) -> None:
    """Raise ``ValueError`` unless a classifier makes finite ``(N, C)`` logits of an example."""
    logits = run(classifier, example)
    if not isinstance(logits, Tensor) or logits.shape != (len(example), classifier.num_classes):
        raise ValueError(
            f"the head must make ({len(example)}, {classifier.num_classes}) logits, got "
            f"{tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__}"
        )


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return ``(N, C, ...)`` images in [0, 1] as a foreign network takes them."""
    if images.shape[1] != len(mean):
        raise ValueError(
            f"mean and std are of {len(mean)} channels, but the images have {images.shape[1]}"
        )
    shape = (1, -1) + (1,) * (images.ndim - 2)
    center, scale = (torch.tensor(values).view(shape) for values in (mean, std))
    return (images - center) / scale


def check_outputs(found: int, num_classes: int, what: str) -> None:
    """Raise ``ValueError`` unless the head has an output for each class of the images."""
    if found != num_classes:
        raise ValueError(
            f"{what} has {found} outputs, but the images are of {num_classes} classes: pass the "
            "images of all classes that the network was trained on, a folder each"
        )
