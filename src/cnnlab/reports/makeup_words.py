"""The five AlexNet commands of assignment B in words: the table, and the discussions that are Q1-4 and Q1-7.

Each sentence is chosen by the figures: where an interval holds zero, it says that no difference can be told.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from cnnlab.data.makeup import CLASSES
from cnnlab.evaluation.comparison import paired_interval, unpaired_interval, wilson_interval
from cnnlab.reports.makeup import COMMANDS, Measured
from cnnlab.reports.text_tables import percent, table_lines

WORDS = {"features": "the last layer alone", "finetune": "fine-tuning every layer", "scratch": "training from scratch"}
REQUIRED = 0.895  # by Q1-8
_OVERFIT = 0.05  # a gap between train and val that is worth a sentence
_TILTED = 0.05  # a difference between the recalls of the two classes that is


def difference(first: Measured, second: Measured) -> tuple[float, float, float, bool]:
    """Gain of the second over the first, ends of its 95 % interval, and whether it is paired portrait by portrait."""
    if first.right is not None and second.right is not None and first.names == second.names:
        return second.mean - first.mean, *paired_interval(first.right, second.right), True
    ends = unpaired_interval(
        (first.mean, first.std, first.seeds), (second.mean, second.std, second.seeds), min(first.count, second.count)
    )
    return second.mean - first.mean, *ends, False


def verdict(first: Measured, second: Measured) -> int:
    """1 or -1 where the second is surely above or below the first, 0 where no difference can be told."""
    _, low, high, _ = difference(first, second)
    return 1 if low > 0 else -1 if high < 0 else 0


def compare(first: Measured, second: Measured, name_first: str, name_second: str) -> str:
    """One sentence on whether the second is better, and how sure that is."""
    gain, low, high, paired = difference(first, second)
    ends = f"95 % interval {_points(low)} to {_points(high)}" + ("" if paired else ", without pairing")
    if low <= 0 <= high:
        return (
            f"Between {name_first} and {name_second} no difference can be told: {_points(gain)} points for the latter "
            f"({ends})."
        )
    verb = "gains" if gain > 0 else "loses"
    return _upper(f"{name_second} {verb} {100 * abs(gain):.1f} points against {name_first} ({ends}).")


def discuss_training(measured: Mapping[str, Measured]) -> list[str]:
    """Q1-4: the last layer alone, every layer, and from scratch, under the initial augmentation."""
    features, finetune, scratch = (measured.get(q) for q in ("Q1-1", "Q1-2", "Q1-3"))
    lines = _caution(measured, ("Q1-1", "Q1-2", "Q1-3"))
    if finetune and scratch:
        said = {
            1: "The pretrained layers are worth that much with so few portraits.",
            0: "What the pretrained weights are worth does not show here.",
            -1: "The pretrained start hindered: its rates deserve a look before its weights are blamed.",
        }[verdict(scratch, finetune)]
        lines.append(compare(scratch, finetune, WORDS["scratch"], WORDS["finetune"]) + " " + said)
    if features and finetune:
        whole = features.weights == "complete"
        said = {
            1: "Heavy makeup is no class of ImageNet, and the features had to be adapted to it." if whole
            else "What the adapted features are worth and what the random projection costs cannot be told apart here.",
            0: "That is no proof that they are equal, but it speaks for the cheaper: one layer of weights, not all.",
            -1: "With so few portraits the many weights lost what the fixed features had.",
        }[verdict(features, finetune)]  # fmt: skip
        lines.append(compare(features, finetune, WORDS["features"], WORDS["finetune"]) + " " + said)
    if features and scratch:
        said = {
            1: "Features learnt from these portraits alone beat fixed ones.",
            0: "A single layer on fixed features keeps up with a whole network learnt from these portraits.",
            -1: "A single layer on fixed features beats a whole network learnt from these portraits.",
        }[verdict(features, scratch)]
        lines.append(compare(features, scratch, WORDS["features"], WORDS["scratch"]) + " " + said)
    return lines + _what_changed(measured, ("Q1-1", "Q1-2", "Q1-3"))


def discuss_augmentation(measured: Mapping[str, Measured]) -> list[str]:
    """Q1-7: what showing whole faces changed for the last layer alone and for fine-tuning."""
    lines = _caution(measured, ("Q1-5", "Q1-6"))
    for heavy, whole in (("Q1-1", "Q1-5"), ("Q1-2", "Q1-6")):
        if heavy in measured and whole in measured:
            first, second = measured[heavy], measured[whole]
            mode = WORDS[second.command.split()[0]]
            said = {
                1: "Seeing lips, eyes and skin together is worth more than the variety of small crops.",
                0: "Crops that seldom show a face wholly cost nothing that these portraits can prove.",
                -1: "The small crops hide most of a face, but they kept the network from learning portraits by heart.",
            }[verdict(first, second)]
            names = f"{mode} with heavy crops", f"{mode} with whole faces"
            lines.append(f"{compare(first, second, *names)} {said}")
    if {"Q1-5", "Q1-6"} <= measured.keys():
        lines.append("With whole faces: " + _lower(
            compare(measured["Q1-5"], measured["Q1-6"], WORDS["features"], WORDS["finetune"])))  # fmt: skip
    return lines + _what_changed(measured, ("Q1-1", "Q1-5", "Q1-2", "Q1-6"))


def discuss_improvement(
    metrics: Mapping[str, float | list[float]], params: Mapping[str, object], plain: Mapping[str, object], count: int,
    held_out: int,
) -> str:  # fmt: skip
    """Q1-9: what the study's winner reached, what it changed, and how far the figure can be trusted; Markdown.

    Args:
        metrics: of makeup_improve's outcome.
        params: of the winner.
        plain: of the plain fine-tuning.
        count: number of validation portraits.
        held_out: number of training portraits that judged a trial.
    """
    accuracies, crossed = list(metrics["val_accuracy"]), float(metrics["best_trial_accuracy"])
    mean = fmean(accuracies)
    network, once = (fmean(metrics[f"val_network_{what}accuracy"]) for what in ("", "single_view_"))
    low, high = wilson_interval(mean, count)
    changed = [f"{name}={value}" for name, value in params.items() if plain[name] != value]
    beside = fmean(metrics.get("val_machine_accuracy", [0.0]))
    who = f"{params['network']} and a kernel machine" if beside else str(params["network"])
    partner = f", the machine beside it (alone {100 * beside:.1f} %) by {_points(mean - network)}" if beside else ""
    verdict = "above" if mean > REQUIRED else "not above"
    sure = "surely" if low > REQUIRED or high < REQUIRED else "by less than these portraits can prove"
    lines = [
        "# Q1-9: fine-tuning beyond AlexNet and ResNet-18",
        f"{who} is {verdict} the required {100 * REQUIRED:.1f} % ({sure}): {percent(accuracies)} of "
        f"{count} validation portraits, mean of {len(accuracies)} seed{'s' * (len(accuracies) > 1)}; another {count} "
        f"portraits would give {100 * low:.1f} to {100 * high:.1f} % (95 %).",
        f"Against the plain fine-tuning the winner changed {', '.join(changed)}." if changed
        else "The plain fine-tuning itself was the best.",
        f"Of a single view the network alone has {100 * once:.1f} %; averaging over views changed that by "
        f"{_points(network - once)} points{partner}. The networks of all seeds together have "
        f"{100 * metrics['val_seeds_together_accuracy']:.1f} %, which is another method and not the figure above.",
        f"The trials were judged on {held_out} held-out training portraits, where the best had {100 * crossed:.1f} %. "
        f"{_gap(crossed, accuracies, held_out, count)} `comparison.md` sets the trials side by side, each with "
        "the 95 % interval of its gain over the plain one. The label itself is a matter of opinion: on all of "
        "CelebA published networks reach 89.6 to 92.5 %.",
    ]  # fmt: skip
    return "\n\n".join(lines) + "\n"


def _gap(crossed: float, accuracies: Sequence[float], held_out: int, count: int) -> str:
    """What the difference between the best trial's cross-validation and the validation portraits says."""
    gain = crossed - fmean(accuracies)
    spread = stdev(accuracies) if len(accuracies) > 1 else 0.0
    low, high = unpaired_interval((fmean(accuracies), spread, len(accuracies)), (crossed, 0.0, 1), count, held_out)
    ends = f"{_points(gain)} points, 95 % interval {_points(low)} to {_points(high)}"
    if low <= 0 <= high:
        return f"Between the two no difference can be told ({ends})."
    if gain < 0:
        return f"The validation portraits are easier than that ({ends}), or the larger training set tells."
    return (
        f"The validation portraits are harder ({ends}): the best of several trials is flattered, a person may be in "
        "two folds of the training portraits (who is on them is not known), and another draw has its own luck."
    )


def _caution(measured: Mapping[str, Measured], questions: tuple[str, ...]) -> list[str]:
    there = [measured[q] for q in questions if q in measured]
    if not there:
        return []
    widest = max(high - low for low, high in (m.interval for m in there))
    seeds = sorted({m.seeds for m in there})
    lines = [
        f"On {there[0].count} portraits an accuracy is known to about ±{50 * widest:.1f} points; each figure is the "
        f"mean of {' or '.join(map(str, seeds))} {'seed' if seeds == [1] else 'seeds'}."
    ]
    lacking = {m.command.split()[0]: m.weights for m in there if m.weights != "complete"} | {"scratch": ""}
    if "random" in lacking.values():
        lines.append("Not the assignment's experiment: where pretrained weights were due, random ones were used.")
    if lacking.get("features") == "convolutions only":
        lines.append(
            "Not the assignment's experiment: of the pretrained network only the convolutions were at hand, and the "
            "two layers of 4096 units began untrained. The last layer alone was then trained on a random projection of "
            "the convolutions' features."
        )
    if lacking.get("finetune") == "convolutions only":
        lines.append(
            "Fine-tuning had to learn the two layers of 4096 units from nothing too: it was pretrained in its "
            "convolutions only."
        )
    return lines


def _what_changed(measured: Mapping[str, Measured], questions: tuple[str, ...]) -> list[str]:
    """Sentences on the confusion between the classes and on the ends of the curves."""
    lines = []
    for question in questions:
        one = measured.get(question)
        if one is None:
            continue
        parts = []
        if one.recalls is not None:
            without, heavy = one.recalls
            shares = f"{heavy:.1%} of the portraits with heavy makeup and {without:.1%} of those without"
            parts.append(f"recognises {shares}")
            if abs(heavy - without) > _TILTED:
                taken = CLASSES[int(heavy > without)]
                always = min(heavy, without) == 0
                parts[-1] += f": it calls {'all' if always else 'too many'} of them {taken}"
        if one.history and {"train/accuracy", "val/accuracy"} <= one.history[-1].keys():
            last = one.history[-1]
            gap = last["train/accuracy"] - last["val/accuracy"]
            low, high = one.interval
            told = max(_OVERFIT, (high - low) / 2)
            if gap > told:
                meaning = "it has begun to learn its portraits by heart"
            elif gap < -told:
                meaning = "the augmented portraits are harder than the whole ones, and it has not learnt them by heart"
            else:
                meaning = "the two lie together"
            parts.append(
                f"ends with {last['train/accuracy']:.1%} on train (augmented) and {last['val/accuracy']:.1%} on val"
                f"{' with its first seed' * (one.seeds > 1)}: {meaning}"
            )
        if parts:
            lines.append(f"{question} ({title(one)}) " + "; it ".join(parts) + ".")
    return lines


def title(one: Measured) -> str:
    """A command in words."""
    mode, augmentation = one.command.split()
    return f"{mode}, {augmentation.replace('_', ' ')}"


def missing_sentence(measured: Mapping[str, Measured]) -> str:
    """Which of the five commands have no run yet; empty where all have."""
    lacking = [(q, command.split()) for q, command in COMMANDS.items() if q not in measured]
    listed = ", ".join(f"{q} (makeup_{mode}, augmentation={augmentation})" for q, (mode, augmentation) in lacking)
    return f"No finished run on the same data for {listed}." if listed else ""


def markdown(measured: Mapping[str, Measured]) -> str:
    """The table of the five commands and the two discussions."""
    head = ("question", "training", "augmentation", "weights", "val accuracy (mean ± std)", "seeds", "95 % interval",
            "portraits", "from")  # fmt: skip
    rows = []
    for question, one in measured.items():
        mode, augmentation = one.command.split()
        spread = f" ± {100 * one.std:.1f}" if one.seeds > 1 else ""
        low, high = one.interval
        rows.append((
            question, mode, augmentation, one.weights, f"{100 * one.mean:.1f} %{spread}", str(one.seeds),
            f"{100 * low:.1f} to {100 * high:.1f} %", str(one.count), f"`{one.place}`",
        ))  # fmt: skip
    name = next((one.data for one in measured.values()), "")
    weights = dict.fromkeys(m.sentence for m in measured.values() if m.sentence and not m.command.startswith("scratch"))
    parts = [f"# AlexNet on portraits with and without heavy makeup ({name})", table_lines(head, rows)]
    parts += [" ".join(weights), missing_sentence(measured), "## Q1-4: three trainings", *discuss_training(measured)]
    parts += ["## Q1-7: whole faces", *discuss_augmentation(measured)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
