"""Run folders as several machines could have left them: small rows files, made up."""

from spotter_core.results import Row, save_rows

LAPTOP = {"hardware": "CPU, 2 cores, 1 used", "platform": "Linux x86_64", "torch": "2.15.0"}
LAPTOP |= {"python": "3.11.7", "device": "cpu", "classes": 10, "profile": "made", "work": "w"}
CLUSTER = LAPTOP | {"hardware": "NVIDIA H100", "torch": "2.15.0+cu132", "device": "cuda"}


def made_rows(cell, value=0.5, measure="accuracy"):
    forget, seed = cell.removeprefix("forget").split("-seed")
    of_all = ("Made", "cnn-4")
    return [
        Row(*of_all, method, forget, int(seed), where, measure, value, "fraction", "x", {"k": 1})
        for method in ("original", "retrain", "spotter")
        for where in ("forget/test", "retain/test")
    ]


def write(
    run, cell, value=0.5, *, measurement="accuracies", about=LAPTOP, fingerprint="f", rows=None
):
    """A rows file below a run folder."""
    path = run / "rows" / measurement / f"{cell}.json"
    rows = made_rows(cell, value) if rows is None else rows
    save_rows(path, rows, about=about | {"fingerprint": fingerprint})
    return path


def content(folder):
    """Bytes of all files below a folder, by name."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}
