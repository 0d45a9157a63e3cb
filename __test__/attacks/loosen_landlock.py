"""Puts rules of its own over Landlock's, which allow everything below the root, and reads.

group: system calls
effect: reads
"""
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, PRCTL, PR_SET_NO_NEW_PRIVS = 444, 445, 446, 157, 38
PATH_BENEATH, ALL = 1, (1 << 13) - 1

with attempt("ruleset"):
    syscall(PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    rights = (ctypes.c_uint64 * 1)(ALL)
    ruleset = syscall(CREATE_RULESET, rights, ctypes.sizeof(rights), 0)
    rule = ALL.to_bytes(8, "little") + check(libc.open(b"/", os.O_PATH)).to_bytes(4, "little")
    syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0)
    syscall(RESTRICT_SELF, ruleset, 0)
with attempt("read"):
    loot(read(arena.directory + "/secret"))
