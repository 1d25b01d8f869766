"""How the fits went: the full-precision one, and the quantisation-aware one."""

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import HALF, THIRD
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import count, number
from triggerforge.report.plots.epochs import by_epoch


def training_curves(material: Material) -> Plot:
    """Loss and accuracy of the full-precision network by epoch."""
    history = material.section("training", "history")
    losses = {"train_loss": "training", "validation_loss": "validation"}
    drawn = (
        by_epoch(material, history, losses, "loss", (HALF, 2.35)),
        by_epoch(
            material,
            history,
            {"validation_accuracy": "validation"},
            "accuracy [%]",
            (HALF, 2.35),
            scale=100.0,
        ),
    )
    events, parameters = (material.get("training", key) for key in ("events", "parameters"))
    return Plot(
        _found(drawn, "training"),
        f"Full-precision training in torch: {count(parameters)} parameters, {count(events)} events, "
        f"{len(history)} epochs, the best is number {count(material.get('training', 'best_epoch'))}."
        f" {_told(material)}",
        columns=1,
    )


def quantized_training(material: Material) -> Plot:
    """Loss, accuracy and EBOPs of the quantised network by epoch."""
    history = material.section("compression", "history")
    size, measure = (THIRD, 2.7), material.measure
    drawn = (
        by_epoch(material, history, {"loss": "loss"}, "loss", size),
        by_epoch(material, history, {"accuracy": measure}, f"{measure} [%]", size, scale=100.0),
        by_epoch(material, history, {"ebops": "EBOPs"}, "EBOPs", size, log=True),
    )
    return Plot(
        _found(drawn, "compression"),
        f"Quantisation-aware training with HGQ2, {len(history)} epochs in "
        f"{number(material.get('compression', 'seconds'))} s; the weight of the EBOPs in the loss "
        f"rises along the way. {measure.capitalize()} (of the validation events) and EBOPs: after calibration, as "
        "the hardware would have them.",
    )


def _told(material: Material) -> str:
    if material.background:
        return "Loss: the network's own, or the distance to its teacher; of background alone."
    return "Loss: cross-entropy. Accuracy: of the validation events."


def _found(drawn: tuple[Picture | None, ...], stage: str) -> tuple[Picture, ...]:
    pictures = tuple(picture for picture in drawn if picture is not None)
    if not pictures:
        raise NotRunError(f"{stage}.history holds no loss, accuracy or EBOPs")
    return pictures
