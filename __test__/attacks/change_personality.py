"""Changes its personality, so that addresses are not random and data can be executed.

group: system calls
effect: proves
"""
PERSONALITY, QUERY = 135, 0xFFFFFFFF
ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO, READ_IMPLIES_EXEC, PER_LINUX32 = 0x40000, 0x100000, 0x400000, 8

before = syscall(PERSONALITY, QUERY)
for flag in (ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO, READ_IMPLIES_EXEC, PER_LINUX32):
    for value in (flag, 1 << 32 | flag):
        with attempt(hex(value)):
            syscall(PERSONALITY, value)
if syscall(PERSONALITY, QUERY) != before:
    won()
