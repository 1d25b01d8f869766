"""Networks as C++ of their own, compiled for the machine that they run on."""
