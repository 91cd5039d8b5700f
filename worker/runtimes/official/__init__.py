"""Runtimes that run AWS's own runtime client, unmodified: where it is installed, and what starts it.

`interface` is what a language has to say, a module a language says it, `table` has them all.
"""
