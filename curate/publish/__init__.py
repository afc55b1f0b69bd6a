"""Publish: what a profile leaves behind for others to load.

Owns the release folder. Must not sample or verify, and must not change a profile.
"""
