"""What a profile does with every method's settings, beside what their authors do.

Layer 6: a profile in, a table of words out.
"""

import inspect
import re
from dataclasses import fields, is_dataclass
from typing import Any

import pandas as pd

from spotter_core.methods import METHODS, Method
from spotter_core.methods.retrain import Retrain
from spotter_core.profiles import Profile
from spotter_core.settings import configured_method

READS = {"forget": "forget only", "retain": "retained only", "both": "forget and retained"}
OFFICIAL = re.compile(
    r"Official defaults?(?: are)?:? (.*?)\.(?=\s+[A-Z(]|\s*$)"
    r"|Reads: forget samples \((the variant .*?)\)\."
)
"""The sentence of a method's docstring that says what its authors set."""
AS_SPOTTER = "as Spotter alone"
SILENT = ("precision", "base", "recipe")
"""Fields that are no settings of the method's own."""


def settings_table(profile: Profile) -> pd.DataFrame:
    """Return a line for each method of a profile: what it reads, its settings, where it is from.

    Columns: ``method``; ``reads``; ``default``: the settings of our class, which are the authors'
    where no sentence says otherwise; ``here``: those that the profile changes; ``official``: what
    the method's docstring says of the authors' settings, data and network; ``source``. Methods that
    read forget samples alone come first.
    """
    lines, changed = [], {}
    for name in profile.methods:
        default, own = METHODS[name], configured_method(profile, name)
        changed[name] = changes(default, own)
        around = "+" in name and changed[name] == changed.get("spotter")
        lines.append(
            {
                "method": name,
                "reads": READS[own.reads],
                "default": in_words(settings_of(default)) or "–",
                "here": AS_SPOTTER if around else said_here(default, changed[name]),
                "official": official(own),
                "source": own.source,
            }
        )
    table = pd.DataFrame(lines)
    order = {reads: place for place, reads in enumerate(READS.values())}
    return table.sort_values("reads", key=lambda column: column.map(order), kind="stable")


def said_here(default: Method, changed: dict[str, Any]) -> str:
    """Return what a profile changes, in words; the oracle's settings are the original's."""
    if isinstance(default, Retrain):
        return "the original's recipe"
    return in_words(changed) or "as the default"


def settings_of(thing: Any) -> dict[str, Any]:
    """Return the fields of a method or a neighborhood, without those that say nothing."""
    found = {f.name: getattr(thing, f.name) for f in fields(thing) if f.name not in SILENT}
    return {name: value for name, value in found.items() if value is not None}


def changes(default: Method, own: Method) -> dict[str, Any]:
    """Return the settings in which ``own`` differs from ``default``; a neighborhood whole."""
    before = settings_of(default)
    return {k: v for k, v in settings_of(own).items() if k not in before or before[k] != v}


def in_words(settings: dict[str, Any]) -> str:
    """Return ``name value, name value``; what has settings itself with them in parentheses.

    >>> in_words({"learning_rate": 0.0001, "epochs": 10})
    'learning_rate 0.0001, epochs 10'
    """
    return ", ".join(f"{name} {value_in_words(value)}" for name, value in settings.items())


def value_in_words(value: Any) -> str:
    """Return a setting's value as short as it is exact."""
    if is_dataclass(value):
        return f"{type(value).__name__} ({in_words(settings_of(value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def official(method: Method) -> str:
    """Return what a method's docstring says of its authors' settings; a dash where nothing.

    Spotter around a method that reads retained samples has the words of Spotter alone.
    """
    own = METHODS["spotter"] if method.name == "spotter" else method
    text = " ".join((inspect.getdoc(type(own)) or "").split())
    found = OFFICIAL.search(text)
    return (found[1] or found[2]) if found else "–"
