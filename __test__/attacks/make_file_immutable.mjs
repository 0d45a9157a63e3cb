import { execFileSync } from "node:child_process";
import { PYTHON } from "../support/attacks.mjs";

// Takes the flags off again; without them in the way nothing happens.
const CLEAR = `
import fcntl, os, struct, sys
for path in [sys.argv[1], *(entry.path for entry in os.scandir(sys.argv[1]) if entry.is_file(follow_symlinks=False))]:
    fd = os.open(path, os.O_RDONLY)
    flags, = struct.unpack("l", fcntl.ioctl(fd, 0x80086601, bytes(8)))
    if flags & 0x30:
        print("had flags")
        fcntl.ioctl(fd, 0x40086602, struct.pack("l", flags & ~0x30))`;

export const after = (arena) => (execFileSync(PYTHON, ["-c", CLEAR, arena.path("granted")]).length > 0 ? ["writes"] : []);
