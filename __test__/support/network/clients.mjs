// Real clients, each as Python text that runs the same way in a sandbox and, as its control, without one.

/** Finds in an exception, however wrapped, the error of the socket: what libraries make of it differs. */
export const PRELUDE = `
import json, socket
def dig(error):
    found, queue = set(), [error]
    while queue:
        one = queue.pop(0)
        if id(one) in found or not isinstance(one, BaseException): continue
        found.add(id(one))
        if isinstance(one, socket.gaierror): return {"refused": "gaierror", "code": one.errno}
        # The harness's hook may explain what the kernel refuses; its error is a PermissionError.
        if isinstance(one, PermissionError): return {"refused": "PermissionError", "code": one.errno}
        # aiohttp's own has an errno, and so has what it was made of.
        if isinstance(one, OSError) and type(one).__module__ == "builtins" and one.errno: return {"refused": type(one).__name__, "code": one.errno}
        queue += [one.__cause__, one.__context__, getattr(one, "reason", None), getattr(one, "os_error", None), *getattr(one, "exceptions", ()), *(a for a in one.args if isinstance(a, BaseException))]
    return {"refused": type(error).__name__, "code": None, "text": str(error)}
def tried(get):
    try: answer = {"got": get()}
    except Exception as error: answer = dig(error)
    print(json.dumps(answer), flush=True)
`;

/**
 * By name: the port that is its own, what it needs (a module of network/requirements.txt, or a program), and its text for a host and a
 * port. \`ca\` is the file of the authority.
 */
export const CLIENTS = {
  urllib: { port: 80, code: ({ host, port }) => `import urllib.request\ntried(lambda: urllib.request.urlopen("http://${host}:${port}/", timeout=20).read().decode())` },
  "urllib, https": {
    port: 443,
    code: ({ host, port, ca }) => `import ssl, urllib.request\ntried(lambda: urllib.request.urlopen("https://${host}:${port}/", timeout=20, context=ssl.create_default_context(cafile="${ca}")).read().decode())`,
  },
  "a blocking socket": {
    port: 80,
    code: ({ host, port }) => `
def get():
    with socket.create_connection(("${host}", ${port})) as one:
        one.sendall(b"GET / HTTP/1.0\\r\\nHost: ${host}\\r\\n\\r\\n")
        return one.makefile("rb").read().decode()
tried(get)`,
  },
  "a non-blocking socket": {
    port: 80,
    code: ({ host, port }) => `
import errno, os, select
def get():
    family, kind, proto, _, address = socket.getaddrinfo("${host}", ${port}, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as one:
        one.setblocking(False)
        code = one.connect_ex(address)
        if code == errno.EINPROGRESS:
            select.select([], [one], [])
            code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code: raise OSError(code, os.strerror(code))
        one.setblocking(True)
        one.sendall(b"GET / HTTP/1.0\\r\\nHost: ${host}\\r\\n\\r\\n")
        return one.makefile("rb").read().decode()
tried(get)`,
  },
  "asyncio streams": {
    port: 80,
    code: ({ host, port }) => `
import asyncio
async def get():
    reader, writer = await asyncio.open_connection("${host}", ${port})
    writer.write(b"GET / HTTP/1.0\\r\\nHost: ${host}\\r\\n\\r\\n")
    return (await reader.read()).decode()
tried(lambda: asyncio.run(get()))`,
  },
  "asyncio streams, TLS": {
    port: 443,
    code: ({ host, port, ca }) => `
import asyncio, ssl
async def get():
    reader, writer = await asyncio.open_connection("${host}", ${port}, ssl=ssl.create_default_context(cafile="${ca}"))
    writer.write(b"GET / HTTP/1.0\\r\\nHost: ${host}\\r\\n\\r\\n")
    return (await reader.read()).decode()
tried(lambda: asyncio.run(get()))`,
  },
  requests: { port: 80, module: "requests", code: ({ host, port }) => `import requests\ntried(lambda: requests.get("http://${host}:${port}/", timeout=20).text)` },
  "requests, https": {
    port: 443,
    module: "requests",
    code: ({ host, port, ca }) => `import requests\ntried(lambda: requests.get("https://${host}:${port}/", timeout=20, verify="${ca}").text)`,
  },
  httpx: { port: 80, module: "httpx", code: ({ host, port }) => `import httpx\ntried(lambda: httpx.get("http://${host}:${port}/", timeout=20).text)` },
  "httpx, asynchronous, https": {
    port: 443,
    module: "httpx",
    code: ({ host, port, ca }) => `
import asyncio, httpx, ssl
async def get():
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile="${ca}"), timeout=20) as client:
        return (await client.get("https://${host}:${port}/")).text
tried(lambda: asyncio.run(get()))`,
  },
  aiohttp: {
    port: 80,
    module: "aiohttp",
    code: ({ host, port }) => `
import aiohttp, asyncio
async def get():
    async with aiohttp.ClientSession() as session:
        async with session.get("http://${host}:${port}/") as response:
            return await response.text()
tried(lambda: asyncio.run(get()))`,
  },
  "aiohttp, https": {
    port: 443,
    module: "aiohttp",
    code: ({ host, port, ca }) => `
import aiohttp, asyncio, ssl
async def get():
    async with aiohttp.ClientSession() as session:
        async with session.get("https://${host}:${port}/", ssl=ssl.create_default_context(cafile="${ca}")) as response:
            return await response.text()
tried(lambda: asyncio.run(get()))`,
  },
  "redis-py": {
    port: 6379,
    module: "redis",
    code: ({ host, port }) => `
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
def get():
    client = redis.Redis("${host}", ${port}, socket_timeout=20, retry=Retry(NoBackoff(), 0))
    client.set("key", "value from redis")
    return client.get("key").decode()
tried(get)`,
  },
};
