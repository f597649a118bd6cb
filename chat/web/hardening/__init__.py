"""Cures for what the stack does (Quart, Hypercorn, wsproto), each with a regression test.

| seen | cure |
|---|---|
| permessage-deflate is always negotiated; size limits come after inflating | `capture`: none is negotiated |
| sizes are counted in characters; invalid UTF-8 drops TCP; an empty binary frame is None | `inbound` reads the frames |
| the queue of received messages is unbounded | `inbound`: bounded, overflow closes 4100 and keeps draining |
| missing pongs go unnoticed | `inbound` tells when a peer was last heard |
| a send through the framework costs 30 to 50 times a write to the transport | `outbound`: frames go to the transport |
| send and close wait for ever on a peer that does not read | `outbound`: nothing waits; `sockets`: TCP_USER_TIMEOUT |
| a bad request gets an empty 400 and a reset; a bad handshake's connection stays for ever | `requests` refuses both |
| `Upgrade: h2c` is taken, a handshake that cannot be too | `requests`: such an upgrade is ignored |
| `%2F` becomes a slash and `//x` is `/x` before routing | `targets` reads the path as it is written |
| a broken frame closes 1002 | `inbound`: 4000, the contract's word |
| a frame wakes a task and is read by generators and enums | `straight`, `frames`: read where it arrives |
| tiny frames are read 64 KiB at a time, nobody else meanwhile | `straight`, `listener`: by slices, others in between |
| a request makes and cancels a task, its answer is three writes | `thrift`: a timer, one write |
| over HTTP/2 a send never waits for a peer's shut window | `capture`: done when the stream has let go of it |
| an answer before the whole body is lost to a reset | `patience` |
| shutdown waits for open connections (Python ≥ 3.12), or resets them (3.11) | `listener`: accepts and ends by itself |
| the access log repeats what clients send | the server's is off; `chat.web.routing` logs templates and ids |
"""
