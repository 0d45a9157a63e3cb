"""Has an allowed script start an interpreter that is not allowed.

group: executing
effect: proves
read: granted
run: granted/bin/script, granted/bin/indirect, /usr/bin/env
"""
for name in ("script", "indirect"):
    script = f"{arena.directory}/granted/bin/{name}"
    execute(script, arena.proof)
    execute("/usr/bin/env", script, arena.proof)
