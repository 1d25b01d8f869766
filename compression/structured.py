"""Structured pruning: whole neurons and channels leave the torch model, before it is quantised.

For each Linear or Conv the graph is followed from its outputs to the layers that read them. Where
every path leads there through operations that keep channels apart, the channels of least weight
are cut out of the layer, of the normalisations on the way, and of the readers' inputs.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from triggerforge.data.contract import InputContract
from triggerforge.errors import UnsupportedOperationError

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_POINTWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardtanh,
    nn.Hardsigmoid, nn.Hardswish, nn.Softplus, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity,
)  # fmt: skip
_POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
_POINTWISE = {"relu", "relu_", "tanh", "sigmoid", "gelu", "silu", "leaky_relu", "elu", "contiguous"}
_MOVES = {"reshape", "view", "flatten", "permute", "transpose", "squeeze", "unsqueeze"}
_REDUCTIONS = {"mean", "sum", "amax"}
_SCALINGS = {"mul", "truediv"}


@dataclass
class _Channels:
    """The output channels of one layer, and who reads which of them."""

    layer: Any
    """Linear or Conv whose channels these are"""
    readers: list[tuple[Any, Tensor]] = field(default_factory=list)
    """Linear or Conv, and for each entry of its input axis the channel that it is"""
    norms: list[tuple[Any, Tensor]] = field(default_factory=list)

    def least(self, count: int) -> Tensor:
        """The `count` channels with the smallest product of incoming and outgoing weight norms.

        The product does not change when a ReLU's scale is moved from one side to the other.
        """
        incoming = self.layer.weight.flatten(1).norm(dim=1)
        outgoing = torch.zeros_like(incoming)
        for reader, labels in self.readers:
            squares = reader.weight.transpose(0, 1).flatten(1).square().sum(dim=1)
            outgoing.index_add_(0, labels, squares)
        return torch.argsort(incoming * outgoing.sqrt(), stable=True)[:count]

    def cut(self, gone: Tensor) -> None:
        """Takes the channels `gone` out of all the modules."""
        count = len(self.layer.weight)
        kept = torch.ones(count, dtype=torch.bool)
        kept[gone] = False
        _keep_outputs(self.layer, kept)
        for norm, labels in self.norms:
            _keep_norm(norm, kept[labels])
        for reader, labels in self.readers:
            _keep_inputs(reader, kept[labels])


def prune_structured(
    module: nn.Module,
    contract: InputContract,
    fraction: float = 0.0,
    max_weights: int | None = None,
) -> nn.Module:
    """A copy of `module` without `fraction` of the neurons and channels of each layer.

    `max_weights` instead: the smallest fraction that leaves at most so many weights and biases.
    At least one channel of each layer stays; layers whose channels do not lead to other layers
    alone (the output, residual sums) stay whole.

    Raises UnsupportedOperationError if `module` cannot be traced, has no layer that can be pruned,
    fixes its widths in `forward`, or cannot be made as small as `max_weights`.
    """
    if max_weights is None:
        return _pruned(module, contract, fraction)
    for percent in range(100):
        smaller = _pruned(module, contract, percent / 100)
        if _count(smaller) <= max_weights:
            return smaller
    raise UnsupportedOperationError(
        f"{type(module).__name__} keeps {_count(smaller)} weights even with one channel in a layer, "
        f"more than pruning.max_weights = {max_weights}; ask for more or choose a smaller model"
    )


def _pruned(module: nn.Module, contract: InputContract, fraction: float) -> nn.Module:
    smaller = copy.deepcopy(module).eval()
    sample = torch.zeros(2, *contract.shape)
    groups = _groups(smaller, sample)
    if not groups:
        raise UnsupportedOperationError(
            f"{type(module).__name__} has no Linear or Conv whose channels can be taken out alone; "
            "use pruning.method: magnitude"
        )
    cuts = [(g, min(int(fraction * len(g.layer.weight)), len(g.layer.weight) - 1)) for g in groups]
    with torch.no_grad():
        for group, gone in [(g, g.least(count)) for g, count in cuts]:
            group.cut(gone)
        try:
            smaller(sample)
        except RuntimeError as error:
            raise UnsupportedOperationError(
                f"{type(module).__name__}.forward does not run with fewer channels ({error}); "
                "let it take widths from its tensors, or use pruning.method: magnitude"
            ) from error
    return smaller


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _groups(module: nn.Module, sample: Tensor) -> list[_Channels]:
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:  # whatever the user's forward raises under tracing
        raise UnsupportedOperationError(
            f"torch.fx cannot trace {type(module).__name__}: {error}; use pruning.method: magnitude"
        ) from error
    ShapeProp(traced).propagate(sample)
    calls = [n for n in traced.graph.nodes if n.op == "call_module"]
    modules = dict(module.named_modules())
    walk = _Walk(
        modules, {n.target for n in calls if [c.target for c in calls].count(n.target) > 1}
    )
    groups = (walk.group(n) for n in calls if isinstance(modules[n.target], _WEIGHTED))
    return [g for g in groups if g is not None]


class _Stop(Exception):
    """The channels mix here: the layer stays whole."""


@dataclass
class _Walk:
    modules: dict[str, nn.Module]
    shared: set[str]
    """modules called more than once: what is cut for one call is cut for the other"""

    def group(self, node: fx.Node) -> _Channels | None:
        """The channels of the layer at `node`; None where they cannot be taken out alone."""
        layer = self.modules[str(node.target)]
        if node.target in self.shared or getattr(layer, "groups", 1) != 1:
            return None
        shape = _shape(node)
        axis = len(shape) - 1 if isinstance(layer, nn.Linear) else 1
        arranged = torch.arange(shape[axis]).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
        found = _Channels(layer)
        try:
            self._follow(node, arranged.expand(shape), found)
        except _Stop:
            return None
        return found if found.readers else None

    def _follow(self, node: fx.Node, labels: Tensor, found: _Channels) -> None:
        """`labels` has the shape of the node's output; each entry says which channel it is."""
        for user in node.users:
            module = self.modules.get(str(user.target)) if user.op == "call_module" else None
            if isinstance(module, _WEIGHTED):
                found.readers.append((module, self._inputs(user, module, labels)))
            else:
                self._follow(user, self._through(user, module, node, labels, found), found)

    def _inputs(self, user: fx.Node, module: Any, labels: Tensor) -> Tensor:
        if user.target in self.shared or getattr(module, "groups", 1) != 1:
            raise _Stop
        axis = labels.ndim - 1 if isinstance(module, nn.Linear) else 1
        return _along(labels, axis)

    def _through(
        self,
        user: fx.Node,
        module: nn.Module | None,
        node: fx.Node,
        labels: Tensor,
        found: _Channels,
    ) -> Tensor:
        """The labels of the output of `user`, an operation that keeps channels apart."""
        if user.op == "output" or (module is not None and user.target in self.shared):
            raise _Stop
        if isinstance(module, _NORMS):
            found.norms.append((module, _along(labels, 1)))
            return labels
        if isinstance(module, _POINTWISE_MODULES):
            return labels
        if isinstance(module, nn.Flatten):
            return labels.flatten(module.start_dim, module.end_dim)
        if isinstance(module, _POOLS):
            channel = _along(labels, 1)
            return channel.reshape(1, -1, *[1] * (labels.ndim - 2)).expand(_shape(user))
        return self._function(user, node, labels) if module is None else _stop()

    def _function(self, user: fx.Node, node: fx.Node, labels: Tensor) -> Tensor:
        name = user.target if isinstance(user.target, str) else _name(user.target)
        if name in _POINTWISE:
            return labels
        if name in _MOVES:
            return _rerun(user, node, labels)
        if name in _REDUCTIONS:
            return _reduced(user, labels)
        if name in _SCALINGS and user.args[0] is node or name == "mul":
            return _scaled(user, node, labels)
        return _stop()


def _stop() -> Tensor:
    raise _Stop


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", ""))


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)


def _along(labels: Tensor, axis: int) -> Tensor:
    """The labels along `axis`; stops if they change along another one."""
    first = labels.movedim(axis, 0).flatten(1)
    if not bool((first == first[:, :1]).all()):
        raise _Stop
    return first[:, 0].contiguous()


def _rerun(user: fx.Node, node: fx.Node, labels: Tensor) -> Tensor:
    """A movement of entries, done to the labels; sizes given as numbers are those of the sample."""
    arguments = [a for a in user.args if a is not node]
    if any(isinstance(a, fx.Node) for a in [*arguments, *user.kwargs.values()]):
        # sizes read from a tensor: only the outcome's shape is known, and enough for a reshape
        return labels.reshape(_shape(user)) if _name_of(user) in {"reshape", "view"} else _stop()
    moved: Tensor = getattr(labels, _name_of(user))(*arguments, **user.kwargs)
    return moved


def _name_of(user: fx.Node) -> str:
    return user.target if isinstance(user.target, str) else _name(user.target)


def _reduced(user: fx.Node, labels: Tensor) -> Tensor:
    """A sum, mean or maximum over axes along which the channel stays the same."""
    axes = user.args[1] if len(user.args) > 1 else user.kwargs.get("dim")
    listed = [axes] if isinstance(axes, int) else list(axes) if isinstance(axes, Iterable) else []
    if not listed:
        raise _Stop
    low, high = labels.amin(dim=listed, keepdim=True), labels.amax(dim=listed, keepdim=True)
    if not torch.equal(low, high):
        raise _Stop
    return low.reshape(_shape(user))


def _scaled(user: fx.Node, node: fx.Node, labels: Tensor) -> Tensor:
    """A product with a number, or with a tensor that is the same for all channels (a mask)."""
    other = next((a for a in user.args if a is not node), None)
    if isinstance(other, int | float):
        return labels
    if not isinstance(other, fx.Node) or "tensor_meta" not in other.meta:
        raise _Stop
    shape = (1,) * (labels.ndim - len(_shape(other))) + _shape(other)
    varies = [a for a in range(labels.ndim) if shape[a] != 1]
    for axis in varies:
        if not torch.equal(labels.amin(dim=axis), labels.amax(dim=axis)):
            raise _Stop
    return labels.expand(_shape(user))


def _keep_outputs(layer: Any, kept: Tensor) -> None:
    layer.weight = nn.Parameter(layer.weight[kept])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[kept])
    name = "out_features" if isinstance(layer, nn.Linear) else "out_channels"
    setattr(layer, name, int(kept.sum()))


def _keep_inputs(layer: Any, kept: Tensor) -> None:
    layer.weight = nn.Parameter(layer.weight[:, kept])
    name = "in_features" if isinstance(layer, nn.Linear) else "in_channels"
    setattr(layer, name, int(kept.sum()))


def _keep_norm(norm: Any, kept: Tensor) -> None:
    if norm.affine:
        norm.weight = nn.Parameter(norm.weight[kept])
        norm.bias = nn.Parameter(norm.bias[kept])
    if norm.track_running_stats:
        norm.running_mean = norm.running_mean[kept]
        norm.running_var = norm.running_var[kept]
    norm.num_features = int(kept.sum())
