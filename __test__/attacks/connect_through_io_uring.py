"""Connects to a unix socket of the host's through io_uring, whose operations no filter of system calls sees.

group: system calls
effect: connects
read: granted
write: granted
"""
import mmap
import struct

IO_URING_SETUP, IO_URING_ENTER, GETEVENTS = 425, 426, 1
OP_CONNECT, OP_SOCKET = 16, 45
SQ_RING, CQ_RING, SQES = 0, 0x8000000, 0x10000000

with attempt("io_uring_setup"):
    params = (ctypes.c_uint32 * 30)()
    ring = syscall(IO_URING_SETUP, 4, params)
    sq_tail, sq_array, cq_head, cq_tail, cq_cqes = params[11], params[16], params[20], params[21], params[25]
    sq, cq, sqes = (mmap.mmap(ring, 4096, offset=offset) for offset in (SQ_RING, CQ_RING, SQES))

    def submit(number, sqe):
        sqes[:64] = sqe.ljust(64, b"\0")
        struct.pack_into("I", sq, sq_array + 4 * number, 0)
        struct.pack_into("I", sq, sq_tail, number + 1)
        syscall(IO_URING_ENTER, ring, 1, 1, GETEVENTS, None, 0)
        result = struct.unpack_from("i", cq, cq_cqes + 16 * number + 8)[0]
        print("io_uring:", result)
        return result

    # opcode, flags, priority, descriptor (the family), offset (the type), address, length (the protocol)
    family = submit(0, struct.pack("BBHiQQI", OP_SOCKET, 0, 0, 1, 1, 0, 0))
    address = ctypes.create_string_buffer(b"\1\0" + (arena.directory + "/granted/listener.sock").encode())
    submit(1, struct.pack("BBHiQQI", OP_CONNECT, 0, 0, family, len(address), ctypes.addressof(address), 0))
