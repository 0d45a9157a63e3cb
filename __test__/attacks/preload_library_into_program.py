"""Has an allowed program load code that it has written, by the loader's variables.

group: executing
effect: proves
read: granted
write: granted
run: /usr/bin/env
"""
# The smallest library: its initialiser, the loader's first call into it, prints the proof and ends the process.
text = arena.proof.encode() + b"\n"


def library():
    base, headers = 0x1000, 3
    code = (b"\xb8\1\0\0\0\xbf\1\0\0\0\x48\x8d\x35\x16\0\0\0\xba" + len(text).to_bytes(4, "little") + b"\x0f\x05"
            b"\xb8\x3c\0\0\0\x31\xff\x0f\x05" + b"\x90" * 8 + b"\x90" * 4)
    code = code[:0x27].ljust(0x27, b"\x90") + text
    word = lambda *numbers: b"".join(number.to_bytes(8, "little") for number in numbers)
    dynamic_at = 0x200
    strings = b"\0"
    dynamic = word(5, 0x300, 6, 0x310, 10, len(strings), 11, 24, 12, base, 4, 0x330, 0, 0)
    header = (b"\x7fELF\2\1\1".ljust(16, b"\0") + b"\3\0\x3e\0\1\0\0\0" + word(0, 64, 0) + b"\0\0\0\0"
              b"\x40\0\x38\0" + bytes([headers, 0]) + b"\x40\0\0\0\0\0")
    program = lambda kind, flags, offset, size: (kind.to_bytes(4, "little") + flags.to_bytes(4, "little")
                                                 + word(offset, offset, offset, size, size, 0x1000))
    table = program(1, 6, 0, base) + program(1, 5, base, len(code)) + program(2, 6, dynamic_at, len(dynamic))
    image = bytearray((header + table).ljust(base, b"\0") + code)
    image[dynamic_at:dynamic_at + len(dynamic)] = dynamic
    image[0x300:0x301] = strings
    image[0x330:0x330 + 20] = b"".join(n.to_bytes(4, "little") for n in (1, 1, 0, 0, 0))
    return bytes(image)


def run_with(*variables):
    arguments = (ctypes.c_char_p * 3)(b"/usr/bin/env", b"true")
    given = (ctypes.c_char_p * (len(variables) + 1))(*[variable.encode() for variable in variables])
    fork(lambda: (libc.execve(b"/usr/bin/env", arguments, given), os._exit(99)))


for place in (arena.directory + "/granted", "/tmp", "/dev/shm"):
    with attempt(place):
        for name in ("planted.so", "libc.so.6"):
            write(f"{place}/{name}", library())
    run_with(f"LD_PRELOAD={place}/planted.so")
    run_with(f"LD_LIBRARY_PATH={place}")
    run_with(f"LD_AUDIT={place}/planted.so")
    for name in ("planted.so", "libc.so.6"):
        libc.unlink(f"{place}/{name}".encode())
