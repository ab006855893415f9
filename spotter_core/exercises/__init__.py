"""Exercises for a class: answers checked against the study's models, with a reason for each slip.

Layer 10. ``verdicts`` is what a check says and how it is shown, ``answers`` how an answer is held
against the truth, ``sheet`` the questions of one exercise; ``over_unlearning``, ``relearning`` and
``dispersion`` are the exercises, whose truths are computed from the models and never written down.
``versions`` makes the students' and the teacher's notebook of one source.
"""
