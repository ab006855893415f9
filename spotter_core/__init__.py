"""Spotter: machine unlearning's blind spots, measured.

The layers, bottom to top; a file imports only from layers below its own:

0. ``once`` ``files`` ``frontends`` ``runtime`` ``memory`` ``_checks`` ``sources`` ``usage``
   ``cards`` ``outages`` -- source files read once; files that are whole and unchanged, whether
   somebody looks, devices and seeds, memory that runs out, argument checks, the code that a result
   depends on, what a job took; a graphics card for every job; a scheduler that does not answer.
1. ``divergence`` ``architectures`` ``augmentation`` ``folders`` ``cache`` ``places``
   ``checkpoints`` ``failures`` ``profiles`` ``results`` ``planned`` -- distances in log space;
   networks; pictures shifted and mirrored; pictures decoded, kept and found; weights on disk; what
   diverged; a study's settings; rows of numbers; the code that a study was planned with.
2. ``losses`` ``data`` ``models`` ``progress`` ``cells`` ``scores`` ``graph`` ``execute`` -- what
   is trained, on what, by which loss; how far a training has come; the main numbers of a cell,
   picked from rows, and what attacks regain beside the oracles; the jobs of a study; a notebook
   executed.
3. ``neighborhoods`` ``training`` ``metrics`` ``toy`` ``comparison`` ``flags`` ``main_table``
   ``foreign`` ``heads`` ``own_images`` ``result_files`` ``audit_measures`` ``equivalence``
   ``keyframes`` ``fetch`` -- what "near" means; fitting; OU@epsilon and friends; a study in the
   plane; the published numbers beside ours; what a reader must know before believing a number;
   every method's numbers; networks made elsewhere, their heads, their owner's images; one model's
   results in one file; what an audit asks; whether a network can be told from an oracle; where
   images lie at the moments of a run; a study's images before its first job.
4. ``methods`` ``attacks`` ``slices`` ``stages`` ``embedding`` ``published`` ``never_seen``
   ``findings`` -- how a class is unlearned, how it is brought back; planes and maps to be looked
   at; what a network makes of images on the way; the published code's perturbation; a class new to
   every network; what an audit found.
5. ``settings`` ``relearning`` ``leaderboard`` ``sentences`` -- what the words of a profile mean;
   attacks that train; results in one table; an audit in words.
6. ``workshop`` ``documented`` -- the cells of a study and what is made of them; every method's
   settings beside its authors'.
7. ``study`` -- what is measured of them, kept.
8. ``measurements`` ``trajectory`` ``maps`` ``tuning`` ``claims`` ``given`` -- what is measured; a
   run that is watched; models in one plane; how settings are chosen; what holds; a study of models
   that are given.
9. ``plots`` ``prepare`` ``motion`` ``audit_request`` ``search`` -- pictures drawn from numbers;
   one cell made for them; how images scatter during a run; what is to be audited; the search for a
   better objective.
10. ``auditing`` ``notebooks`` ``explorers`` ``exercises`` ``report`` -- somebody's model measured;
    how a notebook starts, and what it leaves; pictures to be moved by hand; a class's answers
    checked; an audit to be read.
11. ``audit`` ``website`` ``merging`` ``planning`` -- the commands.

Importing this package imports ``once`` alone, which must come before all others.
"""

from spotter_core import once

__version__ = "0.1.0"

once.install()
