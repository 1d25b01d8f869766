// Memory that the host and the card both see: an event goes in, its outputs come back.
#pragma once

struct Mailbox {
  // each on a cache line of its own: who polls one does not slow down who writes another
  alignas(64) volatile unsigned asked;     // the host counts up: an event lies in x
  alignas(64) volatile unsigned answered;  // the card follows: its outputs lie in y
  alignas(64) volatile unsigned stop;      // the host wants the kernel to end
  alignas(64) volatile unsigned running;   // the host sets it at the start, the card clears it
};
