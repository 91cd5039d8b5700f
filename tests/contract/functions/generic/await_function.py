"""A generic process for bootstraps that are written in Python: waits, then runs the function's own."""

import os
import runpy
import sys

ASSIGNMENT, READINESS = 3, 4

os.write(READINESS, b"r")
with open(ASSIGNMENT, "rb") as assignment:
    variables = assignment.read().decode().split("\0")[:-1]
if not variables:
    sys.exit(0)
os.write(READINESS, b"a")
os.close(READINESS)
os.environ.clear()
for variable in variables:
    name, _, value = variable.partition("=")
    os.environ[name] = value
os.chdir(os.environ["LAMBDA_TASK_ROOT"])
sys.path.pop(0)
runpy.run_path("bootstrap", run_name="__main__")
