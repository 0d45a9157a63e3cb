"""A small internet in one network namespace: `unshare --net --mount python3 world.py CONFIG`.

Started inside namespaces that support/network.mjs makes. Puts addresses on `lo`, binds its own resolv.conf and hosts over the
machine's (in its own mount namespace), starts the servers, and then obeys lines of JSON on its standard input; each is answered by
one line. It ends when its input does.

Nothing here trusts a client's word: every connection and datagram that enters the namespace's `lo` is seen by a packet socket
(sniffer.py), whether a server listens there or not. So "no packet came" is what the kernel says.
"""
import json
import os
import sys

import linux
from dns import NameServer
from proxy import NaiveProxy
from servers import start_servers
from sniffer import Sniffer


class Log:
    """What servers and sniffer saw, in order, until it is taken."""

    def __init__(self):
        self.entries = []

    def add(self, kind, **what):
        self.entries.append({"kind": kind, **what})  # one operation of the interpreter's, so that threads need no lock

    def take(self):
        taken, self.entries = self.entries, []
        return taken


def main():
    with open(sys.argv[1]) as file:
        config = json.load(file)
    linux.allow_many_descriptors()
    linux.raise_loopback()
    for address in config["addresses"]:
        linux.add_address(address)
    linux.add_interface("card", config["own"])
    for name in ("resolv.conf", "hosts"):
        # Written through a symlink, as systemd-resolved has it, the mount covers what the link leads to.
        linux.bind_mount(os.path.join(config["directory"], name), os.path.realpath("/etc/" + name))
    linux.lower_first_unprivileged_port()
    log = Log()
    sniffer = Sniffer(log)
    names = NameServer(log, config["zone"])
    for address in config["nameservers"]:
        names.serve(address)
    servers = start_servers(log, config)
    proxy = NaiveProxy(log, "169.254.1.1", 8080)
    answer(None, {"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(request["id"], obey(request, log, sniffer, names, servers, proxy))
        except Exception as error:  # the test is to see it, and the world is to go on
            answer(request["id"], None, f"{type(error).__name__}: {error}")


def obey(request, log, sniffer, names, servers, proxy):
    operation = request["op"]
    if operation == "take":
        sniffer.drain()
        return log.take()
    if operation == "zone":
        names.zone.update(request["zone"])
        names.asked.clear()
        return True
    if operation == "servers":
        return {**servers.state(request.get("reset", False)), "proxied": proxy.busy}
    raise ValueError(f"no such operation: {operation}")


def answer(number, result, error=None):
    sys.stdout.write(json.dumps({"id": number, "result": result, "error": error}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
