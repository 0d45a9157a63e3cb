"""Spawns programs by the C library: posix_spawn, which uses vfork, system and popen.

group: executing
effect: proves
"""
script = f"echo {arena.proof}".encode()
arguments = (ctypes.c_char_p * 4)(b"sh", b"-c", script)
again = (ctypes.c_char_p * 6)(b"python3", b"-I", b"-S", b"-c", f"print('{arena.proof}')".encode())
variables = (ctypes.c_char_p * 1)()
pid = ctypes.c_int()

libc.system(script)
libc.popen.restype = ctypes.c_void_p
pipe = libc.popen(script, b"r")
if pipe:
    output = ctypes.create_string_buffer(100)
    libc.fgets(output, len(output), ctypes.c_void_p(pipe))
    print("popen:", output.value)
for program, given in ((b"/bin/sh", arguments), (b"/usr/bin/python3", again), (b"/proc/self/exe", again)):
    error = libc.posix_spawn(ctypes.byref(pid), program, None, None, given, variables)
    print("posix_spawn:", error and os.strerror(error))
    if error == 0:
        libc.waitpid(pid, None, 0)
