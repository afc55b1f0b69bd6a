"""The embedded demo: a tiny model trained from scratch, its problems, and the scripts that made and measured both.

Owns ``model`` and ``problems.jsonl``, which recipes name as ``curate.demo:model`` and ``curate.demo:problems.jsonl``.
Must not import any room, nor be imported by one: to the rest of the project it is a model and a file like any other.
"""
