"""Spotter: machine unlearning's blind spots, measured.

The layers, bottom to top; a file imports only from layers below its own:

0. ``files`` ``runtime`` ``_checks`` ``sources`` -- whole files, devices and seeds, argument checks,
   the code that a result depends on.
1. ``divergence`` ``architectures`` ``folders`` ``profiles`` ``results`` ``execute`` -- distances in
   log space; networks; pictures decoded; a study's settings; rows of numbers; a notebook executed.
2. ``losses`` ``data`` ``models`` -- what is trained, on what, by which loss.
3. ``neighborhoods`` ``training`` ``metrics`` ``toy`` ``checkpoints`` -- what "near" means; fitting;
   OU@epsilon and friends; a study in the plane; weights on disk.
4. ``methods`` ``attacks`` ``slices`` ``embedding`` ``published`` -- how a class is unlearned, how
   it is brought back; planes and maps to be looked at; the published code's perturbation.
5. ``settings`` -- what the words of a profile mean.
6. ``study`` -- the cells of a study and what is made of them.
7. ``measurements`` ``tuning`` ``claims`` -- what is measured, how settings are chosen, what holds.
8. ``plots`` -- pictures drawn from numbers.
9. ``notebooks`` -- how a notebook starts, and what it leaves.

Importing this package imports nothing else.
"""

__version__ = "0.1.0"
