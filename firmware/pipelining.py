"""Where the pipeline registers go, for a target clock.

Delay model: alkaid's (calad0i/alkaid, `trace/passes/surrogate.py`) gives every operation a delay
[ns] fitted to Virtex UltraScale+ speed grade -2: an adder 1.09 ns + 0.025 ns a carry bit, a look-up
table 0.08 to 1 ns, a multiplexer 0.5 ns. A stage may take `clock * (1 - uncertainty)`. It is a
model: only a vendor's place and route closes timing.
"""

from dataclasses import dataclass

from alkaid.stateful import FSM
from alkaid.trace.passes import add_surrogate, dead_code_elimin, fuse_ternary_adders
from alkaid.trace.pipeline import to_pipeline
from alkaid.types import CombLogic


@dataclass(frozen=True)
class Pipeline:
    """A fixed-point graph cut into stages, one event in and one out every cycle."""

    fsm: FSM
    stages: int
    """register to register: also the latency in cycles"""
    stage_delay_ns: float
    """longest path between two registers, by the delay model"""
    budget_ns: float
    """what the clock leaves for it"""
    lut_estimate: int
    """alkaid's count of LUTs"""

    @property
    def register_bits(self) -> int:
        """Flip-flops, before synthesis turns chains of them into shift registers."""
        return sum(signal.width for signal in self.fsm.signals.values() if signal.reg)

    @property
    def meets_clock(self) -> bool:
        """Whether the delay model says that every stage fits in the clock."""
        return self.stage_delay_ns <= self.budget_ns


def pipeline(alir: CombLogic, clock_ns: float, uncertainty: float) -> Pipeline:
    """Cuts as late as the clock allows: an operation that no longer fits opens the next stage.

    An operation that takes longer than a clock by itself cannot be cut: then `meets_clock` is false.
    """
    logic = add_surrogate(dead_code_elimin(fuse_ternary_adders(alir)), _skip_op8_cost=True)
    budget = clock_ns * (1 - uncertainty)
    stage_of, longest = _schedule(logic, budget)
    stages = max(stage_of, default=0) + 1
    # to_pipeline cuts at equal steps of an operation's latency: count that in stages
    ops = [op._replace(latency=float(s + 1)) for op, s in zip(logic.ops, stage_of, strict=True)]
    fsm = to_pipeline(logic._replace(ops=ops), n_stages=stages, verbose=False)
    return Pipeline(fsm, stages, longest, budget, round(logic.cost))


def _schedule(logic: CombLogic, budget_ns: float) -> tuple[list[int], float]:
    """The stage of every operation, and the longest path inside a stage [ns]."""
    done: list[tuple[int, float]] = []  # stage, and time [ns] since its registers
    for op in logic.ops:
        before = max((logic.ops[i].latency for i in op.input_ids), default=0.0)
        delay = op.latency - before
        stage, start = max((done[i] for i in op.input_ids), default=(0, 0.0))
        if delay > 0 and start > 0 and start + delay > budget_ns:
            stage, start = stage + 1, 0.0
        done.append((stage, start + delay))
    return [stage for stage, _ in done], max((time for _, time in done), default=0.0)
