"""Checks of a machine and of the system that runs on it."""
