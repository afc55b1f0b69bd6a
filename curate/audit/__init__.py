"""The audit: is a pass earned, and is a reference right? Pure functions of text and counts."""
