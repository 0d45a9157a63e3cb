"""Rewrites the policy file that it runs under, for the next run to be granted more.

group: files and links
effect: reads
"""
granted = arena.directory + "/granted"
loose = {"version": 1, "rules": {"fs": {"allow": [arena.directory], "mode": "read"}}}
with attempt("the file"):
    write(granted + "/policies/mine.json", json.dumps(loose).encode())
with attempt("its directory"):
    check(libc.rename(f"{granted}/policies".encode(), f"{granted}/old".encode()))
    check(libc.mkdir(f"{granted}/policies".encode(), 0o755))
    write(granted + "/policies/mine.json", json.dumps(loose).encode())
with attempt("done"):
    write(granted + "/done", b"")
