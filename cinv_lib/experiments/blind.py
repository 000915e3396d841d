"""One student for several operators at once, which is not told which of them it meets (Section 5:
the method "requires some prior knowledge of the type of distortions").

It is compared with a specialist for each operator; with a router, a small classifier that guesses
the operator from the picture and asks that specialist; and with the wrong specialist, which shows
what there is to lose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from cinv_lib import evaluation
from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import device_of, side_of
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.draws import realised_each
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.scores import Contestant
from cinv_lib.evaluation.sentence import count, lead, sentence
from cinv_lib.experiments.base import Experiment, Needs, Task
from cinv_lib.operators.basic import parse

METHODS = {
    "specialist": "its own specialist",
    "routed": "the specialist that the router picks",
    "blind": "the blind student",
    "wrong": "another operator's specialist",
}
SHORT = {  # the same, for figures
    "specialist": "its specialist",
    "routed": "routed",
    "blind": "blind student",
    "wrong": "wrong specialist",
}
COLUMNS = ["method", "operator", "model", "realisation", "top1", "top5", "sent"]
RECIPE = probes.ProbeRecipe(epochs=20, lr=0.1, batch_size=256)  # of the router: three numbers in


def found(scores: pd.DataFrame) -> str:
    """The sentence of lesson 14 on one student for several operators, which weigh alike."""
    alike = scores.groupby(["seed", "operator", "method"], as_index=False).top1.mean()
    two = statistics.compare(alike.assign(realisation=0), "blind", "specialist")
    sent = scores[scores.method == "routed"].groupby("operator").sent.mean().mean()
    numbers = two["difference"], two["half_width"], scores.seed.nunique()
    said = lead("the blind student", "the specialists", *numbers)
    return sentence(
        f"the router picks the right specialist for {sent:.0f} % of the pictures,", said
    )


def why(sent: Sequence[float], even: Sequence[float]) -> str:
    """What the router's shares say about the blind student, in sentences.

    sent, even: percent of the pictures that it sends to the right specialist, and the break-even at
    which it is level with the blind student, by operator.
    """
    more, of = sum(a > b for a, b in zip(sent, even, strict=True)), count(len(even), "operator")
    if more == len(even):
        return (
            f"Under each of {of} the router sends more pictures to the right specialist than the "
            "break-even. So the blind student does not lose because nobody knows the operator: it "
            "has one network for several tasks, and less practice in each."
        )
    if not more:
        return (
            f"Under none of {of} the router sends more pictures to the right specialist than the "
            "break-even. So here the blind student is the better choice where nobody knows the "
            "operator."
        )
    return sentence(
        f"under {count(more)} of {of} the router sends more pictures to the right specialist than "
        "the break-even, and under the others the blind student is the better choice",
    )


class Signs(nn.Module):
    """What gives an operator away: the share of black pixels, the mean difference of neighbours,
    the standard deviation.

    Of the picture as a file would hold it, clipped to [0,1]: that noise is not clipped here is of
    the simulation, and no router should live on it. image_size: side of the pictures.
    """

    def __init__(self, image_size: int | None = None):
        super().__init__()
        self.image_size = image_size

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3"]:
        x = x.float().clamp(0, 1)
        black = (x == 0).all(dim=1).float().mean(dim=(1, 2))
        across = (x[..., 1:] - x[..., :-1]).abs().mean(dim=(1, 2, 3))
        down = (x[..., 1:, :] - x[..., :-1, :]).abs().mean(dim=(1, 2, 3))
        return torch.stack([black, (across + down) / 2, x.std(dim=(1, 2, 3))], dim=1)


def fit_router(
    train: Pictures,
    names: Sequence[str],
    seed: int,
    side: int | None = None,
    device: torch.device | str = "cpu",
) -> nn.Sequential:
    """Corrupted pictures to logits of the operators `names`: `Signs` and a softmax regression.

    It is fitted to one corruption of every training picture by each operator. side: of the pictures
    in pixels, None for their own.
    """
    signs, ops = Signs(side), [(parse(op), 0) for op in names]
    (views,) = realised_each(
        [signs], train, ops, seed, stream="views", precision="fp32", device=device
    )
    x = views.flatten(0, 1)
    of = torch.arange(len(names), device="cpu").repeat_interleave(len(train))
    mean, std = x.mean(dim=0), x.std(dim=0) + 1e-6  # of one scale for the fit; undone after it
    head = probes.fit(((x - mean) / std)[None], of, len(names), RECIPE, seed)
    weight = head.weight.detach() / std
    fitted = Probe(weight, head.bias.detach() - weight @ mean)
    return nn.Sequential(signs, fitted).eval().requires_grad_(False)


def routed(router: nn.Module, specialists: Sequence[Contestant]) -> evaluation.Model:
    """A model that shows each picture to the one specialist that the router picks."""

    def exact(x: Tensor) -> torch.autocast:  # `evaluate` too has encoders alone in bfloat16
        return torch.autocast(x.device.type, enabled=False)

    def model(x: Tensor) -> Tensor:
        with exact(x):
            chosen, logits = router(x).argmax(dim=1), None
        for k, (encoder, head) in enumerate(specialists):
            rows = (chosen == k).nonzero()[:, 0]
            if len(rows):
                embedded = encoder(x[rows])
                with exact(x):
                    made = head(embedded.float())
                logits = made.new_empty(len(x), made.shape[1]) if logits is None else logits
                logits[rows] = made
        return logits

    return model


def break_even(
    blind: Float[Tensor, " K"], own: Float[Tensor, " K"], wrong: Float[Tensor, " K"]
) -> Float[Tensor, " K"]:
    """The share of pictures that a router has to send right to be worth the blind student, if its
    errors have nothing to do with the specialists': sent own + (1 - sent) wrong = blind.

    Scores of the blind student, the operator's own specialist and a wrong one, by operator; own
    is not wrong. Above 1: no router is worth it; below 0: any is.

    >>> break_even(torch.tensor([70.0]), torch.tensor([75.0]), torch.tensor([25.0]))
    tensor([0.9000])
    """
    return (blind - wrong) / (own - wrong)


@dataclass(frozen=True, kw_only=True)
class Blind(Experiment):
    """One student for several operators beside a specialist for each and a router (lesson 14).

    Args:
        operators: mixtures; a specialist for each part is trained as the blind student is.
        realisations: draws of the corruption by each part.
    """

    realisations: int
    name, lessons, apart = "blind", ("14",), True
    tables = MappingProxyType({"blind": "%.4f"})

    def needs(self, task: Task) -> Needs:
        specialists = {
            str(part): {
                name: Task(name, str(part), task.seed, task.loss) for name in ("student", "probe")
            }
            for part in parse(task.operator).parts
        }
        return {**super().needs(task), "specialists": specialists}

    def measure(
        self,
        task: Task,
        student: Encoder,
        probe: Probe,
        specialists: Mapping[str, Mapping],
        train: Pictures,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """Scores of METHODS under each operator that has a specialist, all on the same draws. The
        router is fitted to the training pictures.

        Returns:
            COLUMNS, a row for each method, operator and realisation, and of "wrong" for each other
            specialist; model: the operator that the encoder was trained on, or the method. top1,
            top5 and sent in percent; sent, of "routed": pictures that went to the right specialist.
        """
        pairs = {op: (of["student"], of["probe"]) for op, of in specialists.items()}
        names = list(pairs)
        towers = [student, *(encoder for encoder, _ in pairs.values())]
        router = fit_router(train, names, task.seed, side_of(towers), device_of(towers))
        groups = [(encoder, {op: head}) for op, (encoder, head) in pairs.items()]
        groups += [(student, {"blind": probe})]
        groups += [(routed(router, list(pairs.values())), {"routed": lambda logits: logits})]
        draws = {"realisations": self.realisations, "seed": task.seed, "progress": False}
        parts = []
        for k, name in enumerate(tqdm(names, desc="blind", unit=" operators", leave=False)):
            op = parse(name)
            scores = evaluation.evaluate_heads(groups, val, op, **draws)
            methods = dict.fromkeys(names, "wrong") | {name: "specialist"}
            scores["method"] = [methods.get(model, model) for model in scores.model]
            # the router's own task: the same pictures, and the operator is their label
            of = replace(val, labels=torch.full_like(val.labels, k), class_names=tuple(names))
            sent = evaluation.evaluate_heads([(router[0], {"routed": router[1]})], of, op, **draws)
            right = sent.set_index(["model", "realisation"]).top1.rename("sent")
            parts.append(scores.join(right, on=[*right.index.names]).assign(operator=name))
        return {"blind": pd.concat(parts, ignore_index=True)[COLUMNS]}
