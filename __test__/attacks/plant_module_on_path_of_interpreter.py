"""Plants a module in its project, which the host's interpreter has on its path as an editable installation.

group: files and links
effect: writes
"""
planted = f"open({arena.directory + '/outside'!r}, 'w').write('planted')\n".encode()
for name in ("project", "sitecustomize", "usercustomize", "_dbm"):
    with attempt(name):
        write(f"{arena.directory}/granted/{name}.py", planted)
with attempt("done"):
    write(arena.directory + "/granted/done", b"")
