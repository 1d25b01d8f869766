// Written by triggerforge.
`define TOP $top
`define IN_BITS $in_bits
`define OUT_BITS $out_bits
`define EVENTS $events
`define LATENCY $latency
`define HALF_PERIOD $half_period
