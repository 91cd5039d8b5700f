"""What Lightswitch costs, measured beside what a Python user would pick instead."""
