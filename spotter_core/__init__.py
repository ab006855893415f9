"""Spotter: machine unlearning's blind spots, measured.

The layers, bottom to top; a file imports only from layers below its own:

0. ``_checks`` ``runtime`` -- argument checks; devices, seeds, atomic files.
1. ``divergence`` -- masked softmax, Jensen-Shannon and Kullback-Leibler in log space.
2. ``losses`` ``data`` ``folders`` ``models`` ``architectures`` -- what is trained, on what, by which loss.
3. ``neighborhoods`` ``training`` ``metrics`` -- what "near" means; fitting; OU@epsilon and friends.
4. ``methods`` ``attacks`` -- how a class is unlearned, and how it is brought back.
5. ``results`` ``profiles`` ``study`` -- rows of numbers; cells of the study and what is done of them.
6. ``plots`` ``notebooks`` -- pictures drawn from numbers; running notebooks.

Importing this package imports nothing else.
"""

__version__ = "0.1.0"
