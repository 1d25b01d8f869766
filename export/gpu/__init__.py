"""Networks as GPU kernels: the float one in Triton, the quantised one in CUDA C++ on integers."""
