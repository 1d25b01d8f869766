"""Pipeline stages for a clock, checked with alkaid's own timing of every stage."""

import pytest
from alkaid.trace.passes import add_surrogate

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.firmware.pipelining import pipeline


@pytest.mark.parametrize("clock_ns", [2.5, 5.0, 12.5, 25.0])
def test_no_stage_is_longer_than_the_clock_leaves(
    quantized: QuantizedModel, clock_ns: float
) -> None:
    design = pipeline(quantized.alir, clock_ns, 0.1)
    stages = design.fsm.logic.values()
    longest = max(add_surrogate(comb, _skip_op8_cost=True).latency[1] for comb in stages)
    assert longest == pytest.approx(design.stage_delay_ns)
    assert design.stage_delay_ns <= design.budget_ns == pytest.approx(0.9 * clock_ns)
    assert design.meets_clock


def test_slower_clock_takes_fewer_stages_and_registers(quantized: QuantizedModel) -> None:
    designs = [pipeline(quantized.alir, clock, 0.1) for clock in (2.5, 5.0, 10.0, 100.0)]
    stages = [design.stages for design in designs]
    assert stages == sorted(stages, reverse=True)
    assert stages[0] > stages[-1] == 1
    assert designs[0].register_bits > designs[-1].register_bits


def test_latency_of_the_state_machine_is_the_number_of_stages(quantized: QuantizedModel) -> None:
    design = pipeline(quantized.alir, 2.5, 0.1)
    schedule = design.fsm.out_signals[0].schedule
    assert schedule.bias - 1 == design.stages == len(design.fsm.logic)
    assert schedule.period == 1


def test_operation_longer_than_the_clock_is_said(quantized: QuantizedModel) -> None:
    design = pipeline(quantized.alir, 0.5, 0.1)
    assert not design.meets_clock
    assert design.stage_delay_ns > design.budget_ns


def test_margin_takes_from_the_clock(quantized: QuantizedModel) -> None:
    wide, narrow = (pipeline(quantized.alir, 5.0, margin) for margin in (0.0, 0.5))
    assert narrow.budget_ns == wide.budget_ns / 2
    assert narrow.stages > wide.stages
