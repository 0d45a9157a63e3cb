"""Has an allowed program execute one that is not allowed.

group: executing
effect: proves
read: /usr/bin, /bin
run: /usr/bin/env
"""
for env in ("/usr/bin/env", "/bin/env"):
    execute(env, "printf", "%s\n", arena.proof)
    execute(env, "/usr/bin/printf", "%s\n", arena.proof)
    execute(env, "-i", "PATH=/usr/bin", "sh", "-c", f"echo {arena.proof}")
    execute(env, "-S", f"/bin/sh -c 'echo {arena.proof}'")
