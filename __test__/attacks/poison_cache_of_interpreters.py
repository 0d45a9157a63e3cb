"""Changes what the supervisor remembers of its interpreters, harness included, in a cache below a write grant.

group: files and links
effect: writes
"""
home = arena.directory + "/granted"
cache = home + "/cache/python-ipc-bun"
with attempt("entries"):
    directory = check(libc.open(cache.encode(), os.O_RDONLY | os.O_DIRECTORY))
    for entry in os.listdir(directory):
        write(f"{cache}/{entry}", b"planted")
with attempt("one more"):
    write(cache + "/planted", b"planted")
for path in (cache, home + "/cache"):
    with attempt(f"another {path}"):
        check(libc.rename(path.encode(), f"{path}-old".encode()))
        check(libc.mkdir(path.encode(), 0o755))
for path in (cache, home + "/cache"):
    with attempt(f"no {path}"):
        check(libc.rmdir(path.encode()))
