"""The study as a graph: every job executes one notebook through papermill on a list of cells.

    make study                     all local cores, embedded data
    make study PROFILE=...         another file of profiles/
    make study ON=slurm            the same jobs on a cluster; see profiles/CLUSTER.md
    snakemake --config profile=... the same as the first without make

What a job makes (models, rows) is kept cell by cell below runs/<profile>/ by the notebook itself, so
a job that is started again does only what is missing. A job's `.done` file says that it ended well.
A job depends on the code of its notebook and of the core files that this imports, directly or not:
comments and text count for nothing, outputs saved into a notebook neither. It depends on the code of
the notebooks before it, too, so that one that was stopped after these is found out of date whatever
the files' times are. A job that finds other code than was planned stops.

Which jobs there are and what each waits for is said in spotter_core/graph.py; here, how one is run
and what it takes. A notebook has a rule of its own, and where its cells are divided among jobs a
second one for these parts, so that a folder of profiles/ can set the resources of each.
"""

import contextlib
import json
import os
import sys
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir)))
from spotter_core.files import content_hash, settings_hash
from spotter_core.graph import NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.outages import survive_outages
from spotter_core.planned import MODELS
from spotter_core.profiles import load_profile
from spotter_core.sources import code_fingerprint, notebook_fingerprint

# For all jobs, wherever they run, since each reads this file: a thread that waits for another sleeps.
# By default it spins, which costs the other the core that it needs: of two training processes of two
# threads each, on two cores with a third one busy, each then does less than half as many steps, in
# three times the processor time. (Read as a process starts; a policy of the caller's own stays.)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

config.setdefault("profile", "digits")
config.setdefault("runs", "runs")
try:
    PROFILE = load_profile(config["profile"])
    GRAPH = Graph(PROFILE)
except ValueError as error:
    sys.exit(str(error))
RUN = f"{config['runs']}/{PROFILE.name}"
FIGURES = f"figures/{PROFILE.name}"
# How a study is divided among jobs, and what they may take, changes nothing that is made.
HOW = ("jobs", "minutes", "memory", "gpus")
MEANING = {k: v for k, v in asdict(PROFILE).items() if k not in HOW}
TUNING_LOG = Path(f"profiles/{PROFILE.name}.tuning.json")
STARTING = 5
"""Minutes on top of what a job's cells may take: to start, and to say that one took too long."""


def fingerprints():
    """The code of all notebooks and of the originals' training, as this study finds it."""
    found = {name: notebook_fingerprint(Path(f"notebooks/{name}.ipynb")) for name in NOTEBOOKS}
    return found | {ORIGINALS: code_fingerprint(MODELS)}


# Read once, by the process that was started: those that it starts, on other machines, too, are told.
STARTED = "SPOTTER_CODE" not in os.environ
if STARTED:
    os.environ["SPOTTER_CODE"] = json.dumps(fingerprints())
CODE = json.loads(os.environ["SPOTTER_CODE"])


if slurm := sys.modules.get("snakemake_executor_plugin_slurm"):
    survive_outages(slurm.Executor)


# What a pod finds set besides what its image does.
envvars:
    "SPOTTER_CODE",


if "SPOTTER_DATA" in os.environ:

    envvars:
        "SPOTTER_DATA",


def refuse_more_than_there_is():
    """Stop where a job asks for more GPUs than it may hold: Snakemake would give it less, in silence."""
    held = workflow.global_resources.get("gpu")
    if held and PROFILE.gpus > held.value:
        sys.exit(
            f"profile {PROFILE.name!r}: a job takes {PROFILE.gpus} gpus, but may hold {held.value} "
            f"here: set gpus of the profile to less, or start with --resources gpu={PROFILE.gpus}"
        )


if STARTED:
    refuse_more_than_there_is()


def done(job):
    """The file that says that a job ended well; its text says what was planned."""
    return f"{RUN}/jobs/{job.step}/{job.name}.done"


def parameters(job):
    """A job's parameters as command line options."""
    # a part's pictures lie beside its notebook: on a shared disk one would overwrite another's
    figures = FIGURES if job.draws else f"{RUN}/jobs/{job.step}/{job.name}"
    values = GRAPH.parameters(job, RUN, figures)
    return " ".join(f"-p {name} '{json.dumps(value)}'" for name, value in values.items())


def settings_of(notebook):
    """What a job depends on besides code: the profile, and for notebook 02 how it was tuned."""
    if notebook == "02_unlearn" and TUNING_LOG.is_file():
        return settings_hash([MEANING, content_hash(TUNING_LOG)])
    return settings_hash(MEANING)


@cache
def lineage(step):
    """What a step stands on: its code, its settings, and those of the steps before it."""
    if step == ORIGINALS:
        return settings_hash([CODE[step], MEANING])
    before = [lineage(other) for other in sorted(NOTEBOOKS[step].needs)]
    return settings_hash([CODE[step], settings_of(step), *before])


def plan(job):
    """What identifies a job: all that it stands on, and its cells."""
    cells = [str(cell) for cell in GRAPH.cells(job)]
    return settings_hash([lineage(job.step), cells])


def set_right(path, text=None):
    """Give a file that was made before a time that misleads nobody.

    One from the future, which a wrong clock left, is from now: no job that needs it could end well
    until then. A job that ended by another plan counts as older than whatever it needs: Snakemake's
    own records say so, too, but they lie in `.snakemake`, and where they are lost, or were left
    behind as `runs` was copied, it would go by the files' times alone.
    """
    path, now = Path(path), time.time()
    with contextlib.suppress(OSError):  # not there, or not ours to touch
        if text is not None and path.read_bytes() != f"{text}\n".encode():
            os.utime(path, (1, 1))
        elif path.stat().st_mtime > now:
            os.utime(path, (now, now))


if STARTED:
    set_right(f"{RUN}/jobs/data.json")
    for JOB in GRAPH.jobs:
        set_right(done(JOB), plan(JOB))


def resources_of(step):
    """What a job takes; one that is tried again gets twice as much, if a profile says so."""
    takes = GRAPH.takes(step)
    found = {
        "runtime": lambda wildcards, attempt: attempt * takes.minutes + STARTING,
        "mem_mb": lambda wildcards, attempt: attempt * takes.memory,
    }
    # not even a zero where there is none: Kubernetes would want to know whose GPU it is; what a job
    # is told is a resource, too, since other parameters than last time would make it run again
    return found | {"cards": takes.gpus} | ({"gpu": takes.gpus} if takes.gpus else {})


onsuccess:
    claims = Path(FIGURES) / "08_claims.md"
    if claims.is_file():
        print(claims.read_text(encoding="utf-8"))


wildcard_constraints:
    job=r"part\d+",
    seed=r"\d+",


localrules:
    study,
    data,


rule study:
    input:
        [done(Job(name, "all")) for name in NOTEBOOKS],
    message:
        "The study is done: pictures in figures/{config[profile]}/, executed notebooks in {config[runs]}/."


# On the machine that starts the study: the nodes of a cluster often have no network.
rule data:
    output:
        f"{RUN}/jobs/data.json",
    params:
        settings=settings_hash([PROFILE.dataset, PROFILE.size]),
    message:
        "data"
    shell:
        "python -m spotter_core.fetch {PROFILE.name} --out {output}"


rule originals:
    input:
        rules.data.output,
    output:
        f"{RUN}/jobs/{ORIGINALS}/seed{{seed}}.done",
    log:
        f"{RUN}/jobs/{ORIGINALS}/seed{{seed}}.log",
    params:
        plan=lambda w: plan(Job(ORIGINALS, f"seed{w.seed}")),
        cell=lambda w: str(GRAPH.cells(Job(ORIGINALS, f"seed{w.seed}"))[0]),
        code=CODE[ORIGINALS],
    threads: GRAPH.takes(ORIGINALS).threads
    priority: GRAPH.urgency(ORIGINALS)
    resources:
        **resources_of(ORIGINALS),
    message:
        "original (seed{wildcards.seed})"
    shell:
        "python -m spotter_core.prepare {PROFILE.name} {params.cell} --run {RUN} --methods original"
        " --planned {params.code} --gpus {resources.cards} > {log} 2>&1 || {{ tail -n 1 {log} >&2; exit 1; }};"
        " echo {params.plan} > {output}"


EXECUTE = (
    "python -m spotter_core.execute {params.notebook} {log.notebook} --log {log.text}"
    " --timeout $((60 * ({resources.runtime} - {STARTING}))) --planned {params.code}"
    " --gpus {resources.cards} {params.parameters} && echo {params.plan} > {output}"
)

# A rule for the job over all cells; where they are divided, one more for the jobs of the parts.
for NAME in NOTEBOOKS:
    for FILE in ("all", "{job}") if GRAPH.is_divided(NAME) else ("all",):

        def job_of(wildcards, step=NAME, file=FILE):
            return Job(step, wildcards.job if file == "{job}" else file)

        rule:
            name:
                NAME.partition("_")[2] + ("_part" if FILE == "{job}" else "")
            input:
                rules.data.output,
                lambda w, job=job_of: [done(other) for other in GRAPH.needs(job(w))],
            output:
                f"{RUN}/jobs/{NAME}/{FILE}.done",
            log:
                notebook=f"{RUN}/jobs/{NAME}/{FILE}.ipynb",
                text=f"{RUN}/jobs/{NAME}/{FILE}.log",
            params:
                notebook=f"notebooks/{NAME}.ipynb",
                code=CODE[NAME],
                plan=lambda w, job=job_of: plan(job(w)),
                parameters=lambda w, job=job_of: parameters(job(w)),
            threads: GRAPH.takes(NAME).threads
            priority: GRAPH.urgency(NAME)
            group:
                GRAPH.group(Job(NAME, "all" if FILE == "all" else "part0"))
            resources:
                **resources_of(NAME),
            message:
                f"{NAME} ({FILE.replace('job', 'wildcards.job')})"
            shell:
                EXECUTE
