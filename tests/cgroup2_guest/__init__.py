"""The sandbox's tests under control groups version 2, in a small virtual machine: `make test-cgroup2`."""
