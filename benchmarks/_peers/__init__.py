"""What `benchmarks/peers.py` measures: kit, and what users would pick instead, each in an environment of its own."""
