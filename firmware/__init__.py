"""HLS projects, RTL, simulation and synthesis."""
