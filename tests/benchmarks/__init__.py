"""What `tests/bench.py` and `tests/gpu.py` measure: our ways, the plain ways, and their tables."""
