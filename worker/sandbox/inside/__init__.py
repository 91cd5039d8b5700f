"""What happens inside a zygote and its children.

Standard library only, any Python from 3.9: functions' interpreters load it by path.
"""
