"""Learns the host's name, by system call.

group: environment
effect: proves
"""
if os.uname().nodename != "sandbox":
    won()
