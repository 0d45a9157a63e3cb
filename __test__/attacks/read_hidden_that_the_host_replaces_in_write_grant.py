"""Waits until the host renames another file over what is denied in a place that the worker may write, and reads it.

group: denials inside grants
effect: reads
read: granted
write: granted, granted/answers
hide: granted/sub/hidden, granted/sub/key, granted/sub/gone
open: in a write grant, a cover goes with the file that it covers
text: read_hidden_that_the_host_replaces
"""
