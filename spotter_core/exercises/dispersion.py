"""Exercise E3, dispersion and claims: a number by formula, and four sentences to be read closely.

Layer 10.
"""

from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from spotter_core.exercises.answers import choose, judge, predict_choice, predict_number
from spotter_core.exercises.sheet import MODELS, Sheet
from spotter_core.exercises.strongest import attack_table, cosine_slips, excess_slips
from spotter_core.metrics import mean_cosine_similarity
from spotter_core.results import UNTRAINED

ORDERED = ("original", "retrain", "spotter")


class Dispersion(Sheet):
    """The questions of E3; arguments as of a sheet."""

    QUESTIONS: ClassVar[tuple[str, ...]] = (
        "loosest",
        "cosine",
        "below",
        "strongest",
        "excess",
        "control",
        "claim",
    )

    @cached_property
    def table(self) -> pd.DataFrame:
        """What eight attacks regain with five images, a row a model; fractions."""
        return attack_table(self.study, self.cell, MODELS)

    def cosine_of(self, model: str, where: str = "forget/test") -> float:
        """Return the mean cosine between images of one class."""
        features = self.study.predictions(self.cell, model, where).features
        return mean_cosine_similarity(features, self.study.part(self.cell, where).labels)

    def loosest(self, answer: Any) -> None:
        """In which network do the forgotten images lie loosest?"""
        values = {m: self.cosine_of(m) for m in ORDERED}
        measured = ", ".join(f"{m} {v:.2f}" for m, v in values.items())
        why = {
            "original": "It was trained to bring the class together: a tight class is easy for a "
            "linear head.",
            "retrain": "Most expect that a network sees no order in what it never learned. But "
            "these images look alike, and features made for the other classes see that.",
            "spotter": "Its dispersion term pushes two forgotten images apart, whatever they look "
            "like.",
        }
        reasons = {m: f"Mean cosine: {measured}. {text}" for m, text in why.items()}
        near = [min(values, key=values.__getitem__)]
        todo = f"Set my_loosest to one of {', '.join(map(repr, ORDERED))}."
        verdict = predict_choice("where the class lies loosest", answer, reasons, near, todo=todo)
        self.settle("loosest", verdict)

    def cosine(self, answer: Any) -> None:
        """What is the mean cosine between two different forgotten images?"""
        features = self.study.predictions(self.cell, "spotter", "forget/test").features.cpu()
        count = len(features)
        verdict = judge(
            "mean cosine, Spotter's network",
            answer,
            self.cosine_of("spotter"),
            slips=cosine_slips(features),
            todo="Set my_cosine to one number, computed from features.",
            right=f"All {count * (count - 1)} pairs, without looking at one of them: the work "
            "grows with N and not with N², so it can be a loss in training.",
        )
        self.settle("cosine", verdict)

    def below(self, answer: Any) -> None:
        """Spotter's cosine lies below the oracle's: is that better?"""
        oracle, spotter = self.cosine_of("retrain"), self.cosine_of("spotter")
        others = {m: self.cosine_of(m, "retain/test") for m in ("original", "spotter")}
        reasons = {
            "a": f"Smaller it is, {spotter:.2f} against {oracle:.2f}. But the aim of unlearning is "
            "a network as if the class had never been there, and that one has the oracle's value. "
            "Smaller is further from the aim, on its other side.",
            "b": f"So it is: {spotter:.2f} lies as surely off {oracle:.2f} as the original's "
            f"{self.cosine_of('original'):.2f} does, on the other side. It is harder to attack by "
            "a mean, and easier to notice: no network that never saw a class scatters its images "
            "like this. Both belong in the report.",
            "c": f"It is no accident of the other classes: theirs is {others['spotter']:.2f}, in "
            f"the original {others['original']:.2f}. The forgotten class was scattered on purpose.",
        }
        todo = "Set my_below to 'a', 'b' or 'c'."
        self.settle("below", choose("below the oracle", answer, reasons, "b", todo=todo))

    def strongest(self, answer: Any) -> None:
        """How much does the strongest of eight attacks bring back from Spotter?"""
        row = self.table.loc["spotter"]

        def explain(guess: float) -> str:
            told = (
                f"You said {guess:.0%}. The published attack regains {row['pra']:.1%}, the "
                f"strongest, {row.idxmax()}, {row.max():.0%}."
            )
            if guess < row.max() - 0.15:
                told += (
                    " The published row must outscore the nine trained rows of this head, which "
                    "scattering makes hard. But the scattered images still lie apart from the "
                    "other classes, and whoever compares them with those finds them."
                )
            return told + " Safe against one attack is a statement about that attack."

        verdict = predict_number(
            "what the strongest attack brings back from Spotter",
            answer,
            float(row.max()),
            near=0.15,
            todo="Set my_strongest to a fraction between 0 and 1.",
            explain=explain,
        )
        self.settle("strongest", verdict)

    def excess(self, answer: Any) -> None:
        """How far is Spotter's strongest attack above the oracle's?"""
        worst = self.table.max(axis=1)
        verdict = judge(
            "excess of the strongest attack",
            answer,
            float(worst["spotter"] - worst["retrain"]),
            slips=excess_slips(self.table, "spotter", "retrain"),
            todo="Set my_excess to a difference of two fractions, computed from table.",
            right=f"{worst['spotter']:.0%} sounds like failure, and {worst['retrain']:.0%} comes "
            "back from a network that never saw the class. Only the difference can be the "
            "method's, and it is from one cell: it has no interval yet.",
        )
        self.settle("excess", verdict)

    def control(self, answer: Any) -> None:
        """What does the linear probe's number say about Spotter?"""
        probe = self.table["linear_probe"]
        own, random = probe["spotter"], probe[UNTRAINED]
        reasons = {
            "a": f"It would, if only a network that knows the class could give {own:.0%}. Look at "
            f"the last row: random features, which know nothing at all, give {random:.0%}. Most "
            "of it the attacker's images and the pixels did.",
            "b": f"So it is: {random:.0%} come from features that were never trained, and "
            f"{probe['retrain']:.0%} from the oracle. What is above these can be a trace in the "
            "network; what is below is what anybody can learn who holds the images. An attack "
            "needs a control, as a medicine does.",
            "c": f"The attacker's five images are training images; scored are held-out ones, so "
            f"nothing was copied. And the published attack, with the same five, regains "
            f"{self.table.loc['spotter', 'pra']:.1%}.",
        }
        todo = "Set my_control to 'a', 'b' or 'c'."
        question = "what the linear probe's number says"
        self.settle("control", choose(question, answer, reasons, "b", todo=todo))

    def claim(self, answer: Any) -> None:
        """Which sentence do the numbers carry?"""
        worst, cell = self.table.max(axis=1), self.cell
        published = self.table["pra"]
        reasons = {
            "a": f"The attack named in the sentence regains {published['spotter']:.1%}. Another "
            f"one regains {worst['spotter']:.0%}: gone is a word about all attacks.",
            "b": f"From the oracle {worst['retrain']:.0%} come back, and it is what unlearning "
            "wants to be. By this sentence retraining fails as well.",
            "c": "So it is: it names the attack, the number of images, the yardstick and the "
            f"sample ({cell}: one class, one seed), and claims nothing beyond them.",
            "d": f"The published attack regains {published['spotter']:.1%} from Spotter and "
            f"{published['retrain']:.1%} from the oracle: far below is not like retrained. And "
            "one attack on one cell is no proof of likeness in general.",
        }
        todo = "Set my_claim to 'a', 'b', 'c' or 'd'."
        question = "the sentence that the numbers carry"
        self.settle("claim", choose(question, answer, reasons, "c", todo=todo))
