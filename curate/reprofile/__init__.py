"""Reprofile: what moved between two checkpoints, how a band moved over time, and what is due for profiling again.

Owns every question that takes more than one profile. Must not sample or verify itself: it reads profiles and says what
follows.
"""
