"""Planes through pixel space, and what every model says there: the epsilon-neighborhood, visible.

Layer 4: models in, arrays out. A plane goes through a forget sample, towards the original's
boundary and in a second direction; all models are asked about the same points, clipped to [0, 1].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from spotter_core._checks import check_forget_classes, check_positive, check_unit_images
from spotter_core.metrics import conditional_shift, over_unlearning
from spotter_core.models import Classifier
from spotter_core.neighborhoods import BoundaryNeighborhood, runner_up
from spotter_core.training import predict

STEPS = 12
"""Gradient steps of the search for the direction to the boundary."""
WIDER = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Multiples of epsilon at which the boundary is looked for, smallest first."""


@dataclass(frozen=True)
class Plane:
    """A plane in pixel space; a step of 1 along an axis changes the most changed pixel by 1.

    Attributes:
        origin: ``(...)`` one image in [0, 1]: the forget sample.
        along: ``(...)`` first direction, largest entry 1: towards the boundary.
        across: ``(...)`` second direction, largest entry 1, orthogonal to the first.
        target: The retained class behind the boundary, if the plane was made to show one.
        crosses_at: Distance along the first axis at which the original was found to have left the
            forget classes; ``None`` if it was not looked for, ``inf`` if not found.
    """

    origin: Tensor
    along: Tensor
    across: Tensor
    target: int | None = None
    crosses_at: float | None = None

    def points(self, along: Sequence[float], across: Sequence[float] = (0.0,)) -> Tensor:
        """Return ``(len(across) * len(along), ...)`` images, row by row, clipped to [0, 1]."""
        shape = (-1,) + (1,) * self.origin.ndim
        b, a = torch.meshgrid(
            *(torch.as_tensor(v, dtype=self.origin.dtype) for v in (across, along)), indexing="ij"
        )
        a, b = (v.reshape(shape).to(self.origin.device) for v in (a, b))
        return (self.origin + a * self.along + b * self.across).clamp(0.0, 1.0)

    @classmethod
    def square(cls) -> "Plane":
        """Return the unit square itself, for points in the plane; axes run from -0.5 to 0.5."""
        return cls(torch.full((2,), 0.5), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))


def boundary_plane(
    original: Classifier,
    image: Tensor,
    label: int,
    forget_classes: Sequence[int],
    *,
    epsilon: float,
    generator: Generator,
    towards: Tensor | None = None,
) -> Plane:
    """Return the plane through ``image`` towards the original's boundary to the runner-up.

    The first direction is where PGD ends, in the smallest ball (epsilon, or up to 8 times it) in
    which the original leaves the forget classes. It depends on the original alone.

    Args:
        original: Asked for gradients, left as it is.
        image: ``(...)`` one forget sample in [0, 1].
        label: Its class.
        forget_classes: Indices in ``[0, C)``.
        epsilon: Pixel units.
        generator: Of PGD's start, and of the second direction.
        towards: ``(...)`` an image that the second direction leads to, such as the nearest
            retained one; default a random direction.

    Raises:
        ValueError: If the image is not in [0, 1], or ``towards`` lies in the first direction.
    """
    check_positive(epsilon=epsilon)
    check_unit_images(image[None])
    classes = check_forget_classes(forget_classes, original.num_classes)
    target = int(runner_up(original, image[None], classes))
    labels = torch.tensor([label], device=image.device)
    crosses_at, shift = torch.inf, torch.zeros_like(image)
    for radius in (epsilon * factor for factor in WIDER):
        search = BoundaryNeighborhood(radius, 2.0 * radius / STEPS, STEPS)
        end = search(original, image[None], labels, classes, generator=generator)
        shift = (end - image)[0]
        if int(predict(original, end).logits.argmax()) not in classes:
            crosses_at = shift.abs().max().item()
            break
    random = torch.randn(image.shape, generator=generator, dtype=image.dtype).to(image.device)
    second = random if towards is None else towards - image
    along = unit(shift, "the way to the boundary")
    second = second - (second * along).sum() / along.square().sum() * along
    return Plane(image, along, unit(second, "the second direction"), target, crosses_at)


def unit(direction: Tensor, name: str) -> Tensor:
    """Return ``direction`` with its largest entry 1 in absolute value.

    Raises:
        ValueError: If it is zero.
    """
    largest = direction.abs().max()
    if not largest > 1e-6:
        raise ValueError(f"{name} has no length: pass another image")
    return direction / largest


def nearest(image: Tensor, images: Tensor) -> int:
    """Return the index of the image among ``(N, ...)`` that is nearest to ``image`` (l2)."""
    return int((images - image).flatten(1).square().sum(dim=1).argmin())


def typical(logits: Tensor, forget_classes: Sequence[int]) -> int:
    """Return the row of the original's ``(N, C)`` logits on forget samples with median margin."""
    order = forget_margin(logits, check_forget_classes(forget_classes, logits.shape[1])).argsort()
    return int(order[(len(order) - 1) // 2])


def forget_margin(logits: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Return ``(N,)``, the best forget logit less the best retained one."""
    index = torch.tensor(classes, device=logits.device)
    retained = logits.index_fill(1, index, -torch.inf).amax(dim=1)
    return logits.index_select(1, index).amax(dim=1) - retained


@dataclass(frozen=True)
class Answers:
    """What one model says on the grid; every array is ``(B, A)``, across by along.

    Attributes:
        predicted: Class.
        probability: Of that class, unmasked.
        masked: The likeliest retained class.
        masked_probability: Of that class, the forget classes cut out.
        margin: See :func:`forget_margin`; 0 on the boundary around the forget classes.
        over_unlearning: Nats, against the original.
        conditional_shift: Nats, against the original.
    """

    predicted: np.ndarray
    probability: np.ndarray
    masked: np.ndarray
    masked_probability: np.ndarray
    margin: np.ndarray
    over_unlearning: np.ndarray
    conditional_shift: np.ndarray


@dataclass(frozen=True)
class SliceView:
    """A plane as every model sees it.

    Attributes:
        along: ``(A,)`` positions on the first axis, pixel units.
        across: ``(B,)`` positions on the second axis.
        distance: ``(B, A)`` of every shown image from the nearest forget sample, l-infinity.
        epsilon: Radius of the neighborhood.
        answers: By model, ``original`` first.
        forget_classes: Sorted.
        target: Class behind the boundary, if the plane was made to show one.
    """

    along: np.ndarray
    across: np.ndarray
    distance: np.ndarray
    epsilon: float
    answers: dict[str, Answers]
    forget_classes: tuple[int, ...]
    target: int | None = None


def view_slice(
    models: Mapping[str, Classifier],
    plane: Plane,
    forget_classes: Sequence[int],
    *,
    epsilon: float,
    reach: tuple[float, float],
    resolution: int = 61,
    near: Tensor | None = None,
) -> SliceView:
    """Ask every model about a square grid on the plane.

    Args:
        models: ``original`` among them; left as they are.
        plane: From :func:`boundary_plane`, or ``Plane.square()``.
        forget_classes: Indices in ``[0, C)``.
        epsilon: Radius of the neighborhood, pixel units.
        reach: Lowest and highest position on both axes.
        resolution: Points a side.
        near: ``(N, ...)`` forget samples whose neighborhood is outlined; default the origin alone.

    Raises:
        ValueError: If there is no original, or a number is out of range.
    """
    if "original" not in models:
        raise ValueError(f"models has no 'original' to compare with; it has {', '.join(models)}")
    check_positive(epsilon=epsilon, resolution=resolution, width=reach[1] - reach[0])
    classes = check_forget_classes(forget_classes, models["original"].num_classes)
    axis = torch.linspace(*reach, resolution).tolist()
    images = plane.points(axis, axis)
    centres = plane.origin[None] if near is None else near
    distance = torch.cdist(images.flatten(1), centres.flatten(1), p=torch.inf).amin(dim=1)
    before = predict(models["original"], images).logits
    answers = {}
    for name, model in models.items():
        columns = ask(before, predict(model, images).logits, classes)
        answers[name] = Answers(*(c.reshape(resolution, resolution).cpu().numpy() for c in columns))
    grid = distance.reshape(resolution, resolution).cpu().numpy()
    return SliceView(np.array(axis), np.array(axis), grid, epsilon, answers, classes, plane.target)


def ask(before: Tensor, logits: Tensor, classes: tuple[int, ...]) -> list[Tensor]:
    """Return the ``(N,)`` columns of :class:`Answers` for ``(N, C)`` logits."""
    index = torch.tensor(classes, device=logits.device)
    probability, predicted = logits.double().softmax(dim=1).max(dim=1)
    kept, masked = logits.double().index_fill(1, index, -torch.inf).softmax(dim=1).max(dim=1)
    ou = over_unlearning(before, logits, classes, reduction="none")
    shift = conditional_shift(before, logits, classes, reduction="none")
    return [predicted, probability, masked, kept, forget_margin(logits, classes), ou, shift]


def best_answers(
    models: Mapping[str, Classifier], images: Tensor
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return ``{model: (predicted (N,), probability (N,))}`` on ``(N, ...)`` images in [0, 1]."""
    answers = {}
    for name, model in models.items():
        probability, predicted = predict(model, images).logits.softmax(dim=1).max(dim=1)
        answers[name] = (predicted.cpu().numpy(), probability.cpu().numpy())
    return answers


def as_pictures(images: Tensor) -> np.ndarray:
    """Return ``(N, C, H, W)`` images as ``(N, H, W)`` or ``(N, H, W, 3)``, for matplotlib."""
    pictures: np.ndarray = images.detach().cpu().permute(0, 2, 3, 1).numpy()
    return pictures[..., 0] if pictures.shape[-1] == 1 else pictures
