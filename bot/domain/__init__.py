"""Protocols, time arithmetic and rules: plain values and functions, no I/O."""
