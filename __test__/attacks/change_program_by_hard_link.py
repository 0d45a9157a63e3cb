"""Changes an allowed program by its second name, which lies where it may write, and runs it by its first.

group: executing
effect: proves
read: /bin
write: granted/drop
run: granted/bin/tool
"""
tool = arena.directory + "/granted/bin/tool"
if execute(tool) != 0:
    sys.exit("the allowed program does not run")
with attempt("write"):
    write(arena.directory + "/granted/drop/tool", read("/bin/echo"), os.O_WRONLY | os.O_TRUNC)
execute(tool, arena.proof)
execute(arena.directory + "/granted/drop/tool", arena.proof)
