"""Waits until the host makes what is denied and was not there, and reads it.

group: denials inside grants
effect: reads
read: granted
write: granted/answers
hide: granted/sub/hidden, granted/sub/key, granted/sub/gone
text: read_hidden_that_the_host_replaces
"""
