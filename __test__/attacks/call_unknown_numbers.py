"""Calls numbers that no kernel knows: too large, negative, in the gap of the compatibility calls.

group: system calls
effect: proves
control: none there is nothing to win; each has to fail with an errno
"""
NUMBERS = (
    500, 512, 520, 547, 548, 1000, 0xFFFF, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xC0000000, 0xFFFFFFFF,
    -1, -2, 1 << 32 | 1000, (1 << 63) - 1,
)
for number in NUMBERS:
    with attempt(hex(number)):
        syscall(number, 0, 0, 0, 0, 0, 0)
        won()
