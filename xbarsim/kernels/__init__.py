"""All Numba code, bare: arrays in, arrays out; nothing is checked here and nothing else is imported."""
