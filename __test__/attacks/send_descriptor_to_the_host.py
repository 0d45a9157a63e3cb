"""Sends a descriptor to the host by whatever connects it to the host.

group: unix sockets
effect: proves
"""
import array, socket

for number in range(64):
    with attempt(number):
        end = socket.socket(fileno=os.dup(number))
        end.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
        won()
