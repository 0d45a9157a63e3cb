"""Finds a secret of its user in the kernel's keyrings, and leaves a key of its own.

group: system calls
effect: reads
"""
ADD_KEY, REQUEST_KEY, KEYCTL = 248, 249, 250
JOIN_SESSION_KEYRING, LINK, SEARCH, READ = 1, 8, 10, 11
THREAD, PROCESS, SESSION, USER, USER_SESSION = -1, -2, -3, -4, -5
name = b"buntime-" + arena.proof.encode()
buffer = ctypes.create_string_buffer(200)

with attempt("link"):
    syscall(KEYCTL, LINK, USER, PROCESS)
for keyring in (THREAD, PROCESS, SESSION, USER, USER_SESSION):
    with attempt(f"search {keyring}"):
        key = syscall(KEYCTL, SEARCH, keyring, b"user", name, 0)
        syscall(KEYCTL, READ, key, buffer, len(buffer))
        loot(buffer.value)
with attempt("request_key"):
    key = syscall(REQUEST_KEY, b"user", name, None, 0)
    syscall(KEYCTL, READ, key, buffer, len(buffer))
    loot(buffer.value)
with attempt("keyctl"):
    syscall(KEYCTL, JOIN_SESSION_KEYRING, None)
    won()
with attempt("add_key"):
    syscall(ADD_KEY, b"user", b"mine", b"x", 1, PROCESS)
    won()
