"""Lives on when its host closes its end of the socket to the sandbox, and stays itself.

group: survivors
effect: survives
text: outlive_killed_host
"""
