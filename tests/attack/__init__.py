"""Attacks on this project, bounded in number and time, on this machine alone: `python -m tests.attack`."""
