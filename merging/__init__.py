"""Weights: reading, adding adapters, combining. Knows no prompt, no engine, no Ray."""
