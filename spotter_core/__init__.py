"""Spotter: machine unlearning's blind spots, measured.

The layers, bottom to top; a file imports only from layers below its own:

0. ``files`` ``runtime`` ``memory`` ``_checks`` ``sources`` -- whole files, devices and seeds,
   memory that runs out, argument checks, the code that a result depends on.
1. ``divergence`` ``architectures`` ``augmentation`` ``folders`` ``cache`` ``places``
   ``checkpoints`` ``profiles`` ``results`` ``execute`` -- distances in log space; networks;
   pictures shifted and mirrored; pictures decoded, kept and found; weights on disk; a study's
   settings; rows of numbers; a notebook executed.
2. ``losses`` ``data`` ``models`` ``progress`` ``cells`` ``scores`` -- what is trained, on what, by
   which loss; how far a training has come; the main numbers of a cell, picked from rows, and what
   attacks regain beside the oracles.
3. ``neighborhoods`` ``training`` ``metrics`` ``toy`` ``comparison`` ``flags`` ``main_table`` --
   what "near" means; fitting; OU@epsilon and friends; a study in the plane; the published numbers
   beside ours; what a reader must know before believing a number; every method's numbers.
4. ``methods`` ``attacks`` ``slices`` ``stages`` ``embedding`` ``published`` ``never_seen`` -- how
   a class is unlearned, how it is brought back; planes and maps to be looked at; what a network
   makes of images on the way; the published code's perturbation; a class new to every network.
5. ``settings`` ``relearning`` -- what the words of a profile mean; attacks that train.
6. ``workshop`` ``documented`` -- the cells of a study and what is made of them; every method's
   settings beside its authors'.
7. ``study`` -- what is measured of them, kept.
8. ``measurements`` ``tuning`` ``claims`` -- what is measured, how settings are chosen, what holds.
9. ``plots`` -- pictures drawn from numbers.
10. ``notebooks`` -- how a notebook starts, and what it leaves.

Importing this package imports nothing else.
"""

__version__ = "0.1.0"
