"""Audit: what a rollout's text and a problem's counts say about whether its passes are real. Flags, never verdicts."""
