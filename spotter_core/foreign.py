"""Networks that were made elsewhere: built by name or by their owner's function, weights read.

Layer 3. No code in a checkpoint is ever run. A factory is the user's own code, and named by him.
"""

import difflib
import importlib
import inspect
import pickle
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from spotter_core.models import ARCHITECTURES, build_model
from spotter_core.runtime import global_seed_from

TORCHVISION = "torchvision:"
NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Names under which training programs keep the weights among other things."""
PREFIXES = ("module.", "_orig_mod.")
"""What torch puts before the names of a network in parallel, and of a compiled one."""
ADVICE = (
    "save its weights alone where the network was made, torch.save(network.state_dict(), path) or "
    "safetensors.torch.save_file(network.state_dict(), path)"
)


def read_state(path: Path, argument: str) -> dict[str, Tensor]:
    """Return the weights in a ``.safetensors`` file, or in a state dict that torch saved.

    Args:
        path: Of the file.
        argument: What errors call it.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it can't be read, or holds anything that only running its code would open.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{argument}: {path} is not there; expected a checkpoint's file")
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{argument}: {path} holds more than weights, such as a pickled network, or is "
            f"damaged; code out of a file is never run: {ADVICE}"
        ) from error
    except Exception as error:  # bytes that are no checkpoint make a reader raise anything
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{argument}: {path} can't be read ({told}): {ADVICE}") from error
    return plain_state(found, f"{argument}: {path}")


def plain_state(found: Any, where: str) -> dict[str, Tensor]:
    """Return the tensors by name, taken out of what they were kept in.

    Raises:
        ValueError: If there is no dictionary of tensors.
    """
    if isinstance(found, Mapping):
        for key in NESTED:
            if isinstance(found.get(key), Mapping):
                return plain_state(found[key], where)
    if not isinstance(found, Mapping) or not any(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(f"{where} holds a {type(found).__name__} without weights: {ADVICE}")
    state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def build_foreign(
    arch: str,
    *,
    num_classes: int,
    input_shape: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    width: int | None = None,
    generator: Generator,
) -> nn.Module:
    """Return a newly initialised network by the name of its architecture.

    Args:
        arch: A name of :func:`~spotter_core.models.build_model`, or ``torchvision:NAME``.
        num_classes: C.
        input_shape: Of one image, channels first; for ``build_model``.
        mean: Likewise, by channel.
        std: Likewise.
        width: Likewise.
        generator: Source of the weights.

    Returns:
        A ``Classifier`` of ours, or torchvision's module, which is not wrapped yet.

    Raises:
        ValueError: If the name is unknown; says which are like it.
    """
    if arch in ARCHITECTURES:
        shape = tuple(input_shape)
        return build_model(
            arch,
            num_classes=num_classes,
            width=width,
            input_shape=shape,
            mean=mean,
            std=std,
            generator=generator,
        )
    from torchvision import models

    name, known = arch.removeprefix(TORCHVISION), models.list_models(module=models)
    if not arch.startswith(TORCHVISION) or name not in known:
        offer = [*ARCHITECTURES, *(f"{TORCHVISION}{each}" for each in known)]
        near = difflib.get_close_matches(arch, offer, n=4, cutoff=0.4) or offer[:5]
        raise ValueError(
            f"arch {arch!r} is unknown; expected one of {', '.join(ARCHITECTURES)}, or "
            f"{TORCHVISION}NAME (did you mean {', '.join(near)}?), or pass a factory of your own"
        )
    with global_seed_from(generator), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of GoogLeNet's and Inception's first draw
        network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
    return network


def call_factory(named: str, *, num_classes: int, generator: Generator) -> nn.Module:
    """Return what the user's function makes, with weights that mean nothing.

    Every layer with a ``reset_parameters`` draws anew, lest the network comes with weights that it
    was pretrained with; the checkpoint's are put in later.

    Args:
        named: ``package.module:function``; called with ``num_classes`` if it takes that, else
            without arguments.
        num_classes: C.
        generator: Source of the weights.

    Raises:
        ValueError: If it can't be imported, fails or returns no module; its own error is shown.
    """
    module, _, function = named.partition(":")
    if not module or not function.isidentifier():
        raise ValueError(f"factory must look like package.module:function, got {named!r}")
    try:
        make: Callable[..., Any] = getattr(importlib.import_module(module), function)
        wanted = inspect.signature(make).parameters
        given = {"num_classes": num_classes} if "num_classes" in wanted else {}
        with global_seed_from(generator):
            network = make(**given)
            if isinstance(network, nn.Module):
                draw_anew(network)
    except Exception as error:  # the user's own code: whatever it raises is his to read
        own = traceback.format_exception(error.with_traceback(own_traceback(error)))
        raise ValueError(
            f"factory {named!r} can't be used; its own error:\n{''.join(own).rstrip()}"
        ) from error
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"factory {named!r} returned {type(network).__name__}; expected a torch.nn.Module"
        )
    return network


def own_traceback(error: Exception) -> Any:
    """Return the traceback without the frames of this file and of the import system."""
    trace, last = error.__traceback__, None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            return trace
        last, trace = trace, trace.tb_next
    return last


def draw_anew(network: nn.Module) -> None:
    """Initialise every layer that knows how to, in place."""
    for layer in network.modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()


def check_fits(state: Mapping[str, Tensor], network: nn.Module, *, argument: str, of: str) -> None:
    """Raise ``ValueError`` unless weights belong to a network, naming what differs.

    Args:
        state: As from :func:`read_state`.
        network: Without a ``Classifier`` around it, if it is foreign.
        argument: What errors call the weights.
        of: What they are compared with, in words.
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    missing = [n for n in own if n not in found and not n.endswith("num_batches_tracked")]
    strange = [name for name in found if name not in own]
    other = [name for name in own if name in found and found[name] != own[name]]
    if not (missing or strange or other):
        return
    if not missing and not strange and all(found[n][1:] == own[n][1:] for n in other):
        name = other[-1]
        raise ValueError(
            f"{argument}: {name} has shape {found[name]}, but {of} has {own[name]}: its network "
            f"has {found[name][0]} classes and not {own[name][0]}; both checkpoints and the folder "
            "of images must be of the same classes"
        )
    told = [
        f"{word} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for word, names in (("it lacks", missing), ("it has besides", strange))
        if names
    ]
    told += [f"{n} has shape {found[n]} and not {own[n]}" for n in other[:2]]
    raise ValueError(
        f"{argument}: the weights are of another architecture than {of}: {'; '.join(told)}"
    )
