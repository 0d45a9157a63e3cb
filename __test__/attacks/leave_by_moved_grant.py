"""Waits in the granted directory itself until the host moves it elsewhere, and goes up from there.

group: races with the host
effect: reads
read: granted/sub
write: granted/sub
text: leave_by_moved_directory
"""
