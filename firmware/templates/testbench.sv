// Self-checking test bench: a new event every clock cycle (II = 1), every output word compared.
// vectors_in.hex and vectors_out.hex hold one event a line. Runs in Verilator, Icarus, xsim, Questa.
`timescale 1 ns / 1 ps
`include "testbench_parameters.vh"

module testbench;
    reg clk = 1'b0;
    reg [`IN_BITS-1:0] stimulus [0:`EVENTS-1];
    reg [`OUT_BITS-1:0] expected [0:`EVENTS-1];
    reg [`IN_BITS-1:0] model_inp;
    wire [`OUT_BITS-1:0] model_out;
    integer cycle;
    integer event_index;
    integer failures = 0;

    `TOP dut (.clk(clk), .model_inp(model_inp), .model_out(model_out));

    initial begin
        $readmemh("vectors_in.hex", stimulus);
        $readmemh("vectors_out.hex", expected);
        for (cycle = 0; cycle < `EVENTS + `LATENCY; cycle = cycle + 1) begin
            model_inp = stimulus[cycle < `EVENTS ? cycle : `EVENTS - 1];
            #(`HALF_PERIOD) clk = 1'b1;
            #(`HALF_PERIOD / 2.0);
            event_index = cycle - `LATENCY;
            if (event_index >= 0 && model_out !== expected[event_index]) begin
                failures = failures + 1;
                if (failures <= 10)
                    $display("event %0d: expected %h, got %h",
                             event_index, expected[event_index], model_out);
            end
            #(`HALF_PERIOD / 2.0) clk = 1'b0;
        end
        if (failures == 0)
            $display("PASS: %0d events, latency %0d cycles, one event a cycle", `EVENTS, `LATENCY);
        else
            $fatal(1, "FAIL: %0d of %0d events differ", failures, `EVENTS);
        $finish;
    end
endmodule
