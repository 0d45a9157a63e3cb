"""Loads a segment descriptor of its own, by which 16-bit and 32-bit code runs.

group: system calls
effect: proves
"""
MODIFY_LDT, SET_THREAD_AREA = 154, 205
WRITE_OLD, WRITE = 1, 0x11
# number, base, limit, flags: 32 bits, pages, useable
entry = (ctypes.c_uint32 * 4)(0, 0, 0xFFFFF, 0b1010001)

for function in (WRITE, WRITE_OLD):
    with attempt(f"modify_ldt {function}"):
        syscall(MODIFY_LDT, function, entry, ctypes.sizeof(entry))
        won()
with attempt("set_thread_area"):
    syscall(SET_THREAD_AREA, entry)
    won()
