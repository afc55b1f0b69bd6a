"""The command line: thin commands over the package's calls.

Owns options, texts and exit codes. Nothing here computes; each command is one documented call and its printing.
"""
