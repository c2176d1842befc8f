"""Experts: what they are (`expert`), how a configuration's are checked and fingerprinted (`zoo`), the demo's models and
how its adapters are trained.
"""
