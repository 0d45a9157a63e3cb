"""Loads a BPF program and makes a BPF map.

group: system calls
effect: proves
control: root
"""
BPF, MAP_CREATE, PROG_LOAD = 321, 0, 5
ARRAY, SOCKET_FILTER = 2, 1

program = (ctypes.c_uint64 * 2)(0xB7, 0x95)  # r0 = 0; exit
license = ctypes.create_string_buffer(b"GPL")
load = (ctypes.c_uint64 * 16)(SOCKET_FILTER | 2 << 32, ctypes.addressof(program), ctypes.addressof(license))
array = (ctypes.c_uint32 * 32)(ARRAY, 4, 4, 1)
for command, attributes in ((PROG_LOAD, load), (MAP_CREATE, array)):
    for high in (0, 1 << 32):
        with attempt(f"command {command}"):
            syscall(BPF, high | command, attributes, ctypes.sizeof(attributes))
            won()
