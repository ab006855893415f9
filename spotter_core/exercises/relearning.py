"""Exercise E2, relearning: predict the attack, write it in five lines, and face the oracle.

Layer 10.
"""

from functools import cached_property
from typing import Any, ClassVar

from spotter_core.exercises.answers import Slip, choose, judge, predict_choice, predict_number
from spotter_core.exercises.by_prototype import bias_slips, length_slips, row_slips
from spotter_core.exercises.prototypes import (
    ALPHA,
    SHOTS,
    VICTIM,
    Prototypes,
)
from spotter_core.exercises.sheet import Sheet


class Relearning(Sheet):
    """The questions of E2; arguments as of a sheet."""

    QUESTIONS: ClassVar[tuple[str, ...]] = (
        "shots",
        "alpha",
        "row",
        "bias",
        "regained",
        "oracle",
        "why",
        "length",
        "scaled",
    )

    @cached_property
    def attack(self) -> Prototypes:
        """What the answers are held against."""
        return Prototypes(self.study, self.cell)

    # --- predictions --------------------------------------------------------------------------

    def shots(self, answer: Any) -> None:
        """How many images bring half of the class back from DELETE?"""
        if isinstance(answer, int) and answer > max(self.study.profile.shots):
            answer = "more"
        grid, enough = self.study.profile.shots, self.attack.enough(VICTIM)
        measured = ", ".join(f"{k}: {self.attack.best(VICTIM, k)[0]:.0%}" for k in grid)
        reasons: dict[Any, str] = {}
        choices: list[int | str] = [*grid, "more"]
        for k in choices:
            told = f"Measured, k and what comes back at the best α: {measured}."
            if enough is None:
                told += " None of these brings back half."
            elif isinstance(k, str) or k > enough:
                told += (
                    f" {enough} is enough. Training a network takes many images because it must "
                    "find features; here they are there, and only a direction is to be named."
                )
            elif k == enough:
                told += " The features of the class still point one way, so few images show it."
            else:
                told += " Fewer images, a more accidental direction."
            reasons[k] = told
        todo = f"Set my_shots to one of {', '.join(map(str, grid))}, or to 'more'."
        near = ["more" if enough is None else enough]
        verdict = predict_choice("images for half of the class", answer, reasons, near, todo=todo)
        self.settle("shots", verdict)

    def alpha(self, answer: Any) -> None:
        """At which α is the attack on DELETE strongest?"""
        grid, (_, best) = self.study.profile.alphas, self.attack.best(VICTIM, SHOTS)
        values = {a: self.attack.regained(VICTIM, SHOTS, a) for a in grid}
        measured = ", ".join(f"{a:g}: {v:.0%}" for a, v in values.items())
        told = f"Measured with {SHOTS} images, α and what comes back: {measured}."
        low = (
            " At a small α the old row is still in charge, and it was trained to lose: the "
            "prototype has to outweigh it first."
        )
        high = " A compromise does not pay here, because what is blended in is the old row."
        reasons = {a: told + (low if a < best else "" if a == best else high) for a in grid}
        near = [a for a in grid if values[a] >= values[best] - 0.05]
        todo = f"Set my_alpha to one of {', '.join(f'{a:g}' for a in grid)}."
        verdict = predict_choice("the attacker's best α", answer, reasons, near, todo=todo)
        self.settle("alpha", verdict)

    def oracle(self, answer: Any) -> None:
        """How much does the attack bring back from the oracle?"""
        measured = self.attack.regained("retrain", SHOTS, 1.0)

        def explain(guess: float) -> str:
            told = f"You said {guess:.0%}, measured is {measured:.0%}."
            if guess < measured - 0.2:
                told += (
                    " Most say 0: how can a network relearn what it never learned? But the attack "
                    "does not ask for memory. It asks whether these images lie together in "
                    "feature space, and away from the others."
                )
            elif guess > measured + 0.2:
                told += " Its features were made to tell other classes apart, not this one."
            return told

        verdict = predict_number(
            "what comes back from the oracle",
            answer,
            measured,
            near=0.15,
            todo="Set my_oracle to a fraction between 0 and 1.",
            explain=explain,
        )
        self.settle("oracle", verdict)

    def scaled(self, answer: Any) -> None:
        """How much does a row of the others' length bring back from Spotter?"""
        unit, long = (self.attack.regained("spotter", SHOTS, 1.0, s) for s in (0.0, 1.0))
        other = self.attack.regained(VICTIM, SHOTS, 1.0, 1.0)

        def explain(guess: float) -> str:
            told = f"You said {guess:.0%}. Measured: {unit:.1%} at unit length, {long:.0%} scaled"
            told += f", and {other:.0%} from {VICTIM}, scaled as well."
            if guess < long - 0.1:
                told += (
                    " A unit row can lose by its length alone: the others are "
                    f"{self.attack.row_length('spotter'):.1f} times as long, and so are their "
                    "logits. The published number counts that as forgetting."
                )
            elif guess > long + 0.1:
                told += (
                    " Length was not all: the images' directions have been scattered, so that "
                    "their mean stands for few of them. That part of the defence is real, "
                    "against this attack."
                )
            return told + " Of several attacks the strongest is the one to report."

        verdict = predict_number(
            "what a scaled row brings back from Spotter",
            answer,
            long,
            near=0.15,
            todo="Set my_scaled to a fraction between 0 and 1.",
            explain=explain,
        )
        self.settle("scaled", verdict)

    # --- the attack by hand ---------------------------------------------------------------------

    def row(self, answer: Any) -> None:
        """What is the row of the forgotten class after the attack?"""
        truth, _ = self.attack.head(self.attack.attacked())
        old, _ = self.attack.head(self.study.model(self.cell, VICTIM))
        verdict = judge(
            "the attacked row",
            answer,
            truth,
            slips=row_slips(self.attack.features, old, ALPHA),
            todo="Set my_row to a vector as long as the old row, computed from features and W[c].",
            right="The library's PrototypeAttack makes the same row.",
            close=1e-4,
        )
        self.settle("row", verdict)

    def bias(self, answer: Any) -> None:
        """What is the bias of the forgotten class after the attack?"""
        _, truth = self.attack.head(self.attack.attacked())
        _, old = self.attack.head(self.study.model(self.cell, VICTIM))
        verdict = judge(
            "the attacked bias",
            answer,
            truth,
            slips=bias_slips(old, ALPHA),
            todo="Set my_bias to one number, computed from b[c] and alpha.",
            right="Row and bias of one class are all that the attack changes.",
            close=1e-4,
        )
        self.settle("bias", verdict)

    def regained(self, answer: Any) -> None:
        """How much of the class is back?"""
        attacked, held = self.attack.attacked(), self.attack.chosen
        truth = self.attack.score(attacked, "forget/test")
        train = self.attack.score(attacked, "forget/train")
        slips = [
            Slip(
                train,
                "This is measured on the forget training images, the attacker's own among them, as "
                "the published number is. Whoever holds an image needs no attack to know its "
                "class: score held-out images.",
            ),
            Slip(
                self.attack.score(attacked, "forget/train", without=held),
                "The attacker's own images are left out, well done; but these are still training "
                "images, which the network was trained to forget. Score the test images.",
            ),
            Slip(
                self.attack.score(self.attack.attacked(1.0), "forget/test"),
                "This is what comes back at α = 1: you replaced the row instead of blending it.",
            ),
            Slip(
                self.attack.score(attacked, "retain/test"),
                "This is the accuracy on the other classes, the attack's price.",
            ),
            Slip(
                self.attack.score(self.study.model(self.cell, VICTIM), "forget/test"),
                "This is the accuracy before the attack: the logits are still the old head's.",
            ),
        ]
        verdict = judge(
            "what comes back",
            answer,
            truth,
            slips=slips,
            todo="Set my_regained to the share of test images of the class that are named again.",
            right=f"With {SHOTS} images, no training, held-out images. (On the training images it "
            f"would be {train:.3f}.)",
        )
        self.settle("regained", verdict)

    # --- why --------------------------------------------------------------------------------------

    def why(self, answer: Any) -> None:
        """Why does the oracle give the class back?"""
        score = self.study.predictions(self.cell, "retrain", "retain/test").logits
        labels = self.study.part(self.cell, "retain/test").labels
        kept = (score.argmax(dim=1) == labels).double().mean().item()
        seen = self.study.made(self.cell, "retrain").record["reads"]
        reasons = {
            "a": f"It was trained without the class: its training read {seen['retain']} times an "
            f"image of another class, and {seen['forget']} times one of this.",
            "b": "So it is: features that tell the other classes apart send look-alikes to like "
            "places, and their mean names them. Unlearning can't be blamed for what any network "
            "gives, so PRA is read as an excess over the oracle's.",
            "c": "A row that wins everywhere would take the other classes' images along. On those "
            f"the oracle has {kept:.1%} before and {self.attack.price('retrain'):.1%} after it.",
        }
        todo = "Set my_why to 'a', 'b' or 'c'."
        self.settle("why", choose("why the oracle regains", answer, reasons, "b", todo=todo))

    def length(self, answer: Any) -> None:
        """How long are the rows that the prototype competes with?"""
        weight = self.study.model(self.cell, "spotter").head.weight.detach().cpu()
        verdict = judge(
            "mean length of Spotter's retained rows",
            answer,
            self.attack.row_length("spotter"),
            slips=length_slips(weight, self.cell.forget[0]),
            todo="Set my_length to one number, computed from the rows of Spotter's head.",
            right="A prototype of length 1 meets rows that are this much longer, and a logit grows "
            "with its row's length.",
        )
        self.settle("length", verdict)
