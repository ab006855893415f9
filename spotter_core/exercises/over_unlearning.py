"""Exercise E1, over-unlearning: where the damage lies, OU by hand, and why the oracle is not at 0.

Layer 10.
"""

from functools import cached_property
from typing import Any, ClassVar

import torch

from spotter_core.divergence import masked_log_softmax
from spotter_core.exercises.answers import choose, judge, predict_choice, predict_number
from spotter_core.exercises.by_hand import divergence_slips, masked_slips, mass_slips
from spotter_core.exercises.near_points import HARMED, NearPoints
from spotter_core.exercises.sheet import MODELS, Sheet
from spotter_core.exercises.verdicts import Verdict
from spotter_core.metrics import mass_floor

WHOLE = {
    "original": "It has forgotten nothing: on most of these points it still says the class that "
    "should be cut out. That is leftover mass, and not damage.",
    "retrain": "It has never seen the class and gives it nothing. What is left is that it answers "
    "otherwise than the original would without the class: shift.",
    HARMED: "Little mass is left, so it has forgotten; what it says in place of the class is not "
    "what the original would say. That is the damage that over-unlearning means.",
}


class OverUnlearning(Sheet):
    """The questions of E1; arguments as of a sheet."""

    QUESTIONS: ClassVar[tuple[str, ...]] = (
        "payer",
        "largest",
        "oracle",
        "masked",
        "divergence",
        "mass",
        "parts",
        "why",
    )

    @cached_property
    def points(self) -> NearPoints:
        """What the answers are held against."""
        return NearPoints(self.study, self.cell)

    # --- predictions --------------------------------------------------------------------------

    def payer(self, answer: Any) -> None:
        """On which retained class's land does most of random label's damage lie?"""
        bill, (own,) = self.points.bill, self.cell.forget
        top = int(bill["share"].idxmax())
        most = f"most lies with {top}: {bill.loc[top, 'points']} points, {bill['share'].max():.0%}"
        reasons = {}
        for c in range(self.study.dataset.num_classes):
            if c == own:
                why = f"{c} is the forgotten class, and it is cut out of both answers here; {most}."
            elif c not in bill.index:
                why = (
                    f"None of the points lies nearest to {c}, although the shapes may look alike "
                    f"to us: the network's likeness counts, not ours; {most} of the damage."
                )
            else:
                line, count = bill.loc[c], len(self.points.near.labels)
                rest = "the most of all" if c == top else most
                why = (
                    f"{c} has {line['points']:.0f} of {count} points and {line['share']:.0%} of "
                    f"the damage, {rest}. Land with many near points pays most, since images near "
                    "these points are what the training moved."
                )
            reasons[c] = why
        near = [int(c) for c in bill.index[bill["share"] >= bill["share"].max() / 2]]
        todo = "Set my_payer to a class, 0 to 9."
        question = "who pays for random labels"
        self.settle("payer", predict_choice(question, answer, reasons, near, todo=todo))

    def largest(self, answer: Any) -> None:
        """Which of the three methods has the largest OU?"""
        values = {m: self.points.ou(m) for m in MODELS}
        methods = ["random_label", "delete", "spotter"]
        top = max(methods, key=values.__getitem__)
        measured = ", ".join(f"{m} {values[m]:.3f}" for m in methods)
        why = {
            "random_label": "Its targets are drawn blindly, so they contradict the original also "
            "where nothing had to be forgotten.",
            "delete": "Its targets are the original's own answers with the class cut out, which is "
            "just what OU compares with: it is trained on what is measured.",
            "spotter": "Its dispersion term stirs up the features, but its second term holds the "
            "answers on perturbed copies to the original's.",
            "original": f"A yardstick is no method; its OU is {values['original']:.3f}, all of it "
            "because it still says the class.",
            "retrain": f"A yardstick is no method; its OU is {values['retrain']:.3f}.",
        }
        reasons = {m: f"Measured: {measured}. {text}" for m, text in why.items()}
        todo = f"Set my_largest to one of {', '.join(map(repr, methods))}."
        verdict = predict_choice("largest OU of the three", answer, reasons, [top], todo=todo)
        self.settle("largest", verdict)

    def oracle(self, answer: Any) -> None:
        """How large is the oracle's OU?"""
        measured = self.points.ou("retrain")

        def explain(guess: float) -> str:
            told = f"You said {guess:.2f}, measured is {measured:.3f}."
            if guess < measured / 2:
                told += (
                    " A value near 0 is what most expect of perfect forgetting. But OU asks how "
                    "close a network is to the original, and the oracle was trained anew: it has "
                    "answers of its own on points that it was never told about."
                )
            elif guess > 2 * measured:
                told += (
                    " It is another network, but it learned the other classes from the same "
                    "images: on many of these points it agrees with the original."
                )
            return told + " Keep this number beside every method's OU: it is what ignorance costs."

        todo = "Set my_oracle to a number between 0 and 0.69 (ln 2, the most that OU can be)."
        verdict = predict_number(
            "OU of the retrained oracle",
            answer,
            measured,
            near=0.1,
            todo=todo,
            explain=explain,
            bounds=(0.0, 0.694),
        )
        self.settle("oracle", verdict)

    # --- by hand --------------------------------------------------------------------------------

    def masked(self, answer: Any) -> None:
        """What does the original say with the class cut out?"""
        before, (own,) = self.points.pair[0], self.cell.forget
        truth = masked_log_softmax(before[None].double(), [own]).exp()[0]
        verdict = judge(
            "the original's answer without the class",
            answer,
            truth,
            slips=masked_slips(before, own),
            todo="Set my_masked to ten probabilities computed from z_before.",
            right=f"It sums to 1, and class {own} gets exactly 0. The others keep their ratios.",
        )
        self.settle("masked", verdict)

    def divergence(self, answer: Any) -> None:
        """What is OU at this one point?"""
        before, after = self.points.pair
        truth = self.points.each[HARMED]["over_unlearning"][self.points.point].item()
        verdict = judge(
            "OU at one point",
            answer,
            truth,
            slips=divergence_slips(before, after, self.cell.forget[0], self.points.ou(HARMED)),
            nan="0 · ln 0 counts as 0 in a divergence, but a computer makes NaN of it: use "
            "torch.xlogy(p, p / m), which knows, or leave out the class where p is 0.",
            todo="Set my_ou to one number computed from my_masked and z_after.",
            right="The library has the same number. OU@ε is the mean of this over all points.",
        )
        self.settle("divergence", verdict)

    def mass(self, answer: Any) -> None:
        """How much does the unlearned network still give to the class here?"""
        before, after = self.points.pair
        truth = self.points.each[HARMED]["residual_forget_mass"][self.points.point].item()
        verdict = judge(
            "forget mass left at this point",
            answer,
            truth,
            slips=mass_slips(before, after, self.cell.forget[0]),
            todo="Set my_mass to the probability of the forgotten class in the softmax of z_after.",
            right="If this were all that is wrong, OU here would be "
            f"{mass_floor(torch.tensor(truth)):.4f}; the rest is damage to the other classes.",
        )
        self.settle("mass", verdict)

    # --- why --------------------------------------------------------------------------------------

    def parts(self, answer: Any) -> None:
        """What does the OU of three models consist of?"""
        todo = 'Set all three of my_parts to "mass" or "shift"; the table above has both parts.'
        question = "what OU consists of"
        if answer is None or (isinstance(answer, dict) and None in answer.values()):
            return self.settle("parts", Verdict(question, "open", todo))
        known = isinstance(answer, dict) and set(answer) == set(WHOLE)
        if not known or not set(map(str, answer.values())) <= {"mass", "shift"}:
            why = f'Expected "mass" or "shift" for each of {", ".join(WHOLE)}, got {answer!r}.'
            return self.settle("parts", Verdict(question, "unreadable", why))
        missed = [m for m in WHOLE if answer[m] != self.points.part_of(m)]
        told = " ".join(f"{m}: {WHOLE[m]}" for m in missed or WHOLE)
        return self.settle("parts", Verdict(question, "other" if missed else "right", told))

    def why(self, answer: Any) -> None:
        """Why is the oracle not at 0?"""
        parts = {n: v.mean().item() for n, v in self.points.each["retrain"].items()}
        kept = {m: self.points.accuracy(m) for m in ("original", "retrain")}
        reasons = {
            "a": f"Its mass on the class is {parts['residual_forget_mass']:.4f}: it has nothing of "
            "it, since it never saw one.",
            "b": "So it is. OU's yardstick is the original, and retraining is not asked to imitate "
            f"it: its shift is {parts['conditional_shift']:.3f}, all of its OU. Hence OU below "
            "the oracle's means close to the original, and does not mean better forgotten.",
            "c": f"It is as good a classifier as the original: {kept['retrain']:.1%} of the other "
            f"classes' test images, the original {kept['original']:.1%}.",
            "d": f"With half the radius its OU is {self.points.at_half_radius():.3f}, with the "
            f"whole one {self.points.ou('retrain'):.3f}: it does not vanish closer to the images.",
        }
        todo = "Set my_why to 'a', 'b', 'c' or 'd'."
        self.settle("why", choose("why the oracle is not at 0", answer, reasons, "b", todo=todo))
