"""The target in Python, for machines without a C compiler: the same arguments, answers and log as paced.c, but slower."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO


class Paced:
    def __init__(self, log: IO[str], figures: list[str]) -> None:
        ttft_ms, itl_ms, tokens, spread, stall_at_s, stall_s = map(float, figures)
        self.log, self.ttft, self.itl, self.tokens = log, ttft_ms / 1e3, itl_ms / 1e3, int(tokens)
        self.spread, self.stall_at, self.stall = int(tokens * spread), stall_at_s, stall_s
        self.began: float | None = None
        self.events = self.numbers = self.running = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = head.lower().split(b"\r\n")
                length = next((int(line[15:]) for line in fields if line.startswith(b"content-length:")), 0)
                await self.answer(writer, head, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /stat"):
            clocks = {"monotonic_ns": time.monotonic_ns(), "wall_ns": time.time_ns()}
            plain(writer, 200, {"events": self.events, "requests": self.numbers, "running": self.running} | clocks)
        elif head.startswith(b"GET "):
            plain(writer, 200, {"object": "list", "data": [{"id": "paced", "object": "model", "created": 0}]})
        elif b"/v1/chat/completions " not in head:
            plain(writer, 404, {"detail": "Not Found"})
        elif not json.loads(body).get("stream"):
            message = {"index": 0, "message": {"role": "assistant", "content": "tok"}, "finish_reason": "length"}
            usage = {"prompt_tokens": len(body) // 5, "completion_tokens": 1}
            plain(writer, 200, {"id": "chatcmpl-0", "choices": [message], "usage": usage})
        else:
            self.running += 1
            try:
                await self.stream(writer)
            finally:
                self.running -= 1

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        request = time.monotonic_ns()
        self.began = self.began or request / 1e9
        self.numbers += 1
        number, first, at = self.numbers, 0, 0
        count = self.tokens + (number * 2654435761 % 2**32 >> 16) % (2 * self.spread + 1) - self.spread
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for index in range(count):
            await self.until(request / 1e9 + self.ttft + index * self.itl)
            last = index == count - 1
            data = b"" if index else delta(number, {"role": "assistant", "content": ""}, None)
            data += delta(number, {"content": f" tok{index % 10}"}, "length" if last else None)
            if last:
                usage = {"prompt_tokens": number, "completion_tokens": count}
                data += event(json.dumps({"choices": [], "usage": usage})) + event("[DONE]") + b"0\r\n\r\n"
            at = time.monotonic_ns()
            first = first or at
            writer.write(data)
            self.events += 1
        await writer.drain()
        self.log.write(f"{number},{request},{first},{at}\n")

    async def until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        stall_from = (self.began or 0.0) + self.stall_at
        if self.stall and stall_from <= time.monotonic() < stall_from + self.stall:
            await asyncio.sleep(stall_from + self.stall - time.monotonic())


def delta(number: int, fields: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish, "token_ids": None}
    about = {"id": f"chatcmpl-{number:024d}", "object": "chat.completion.chunk", "created": 1790000000}
    return event(json.dumps(about | {"model": "paced", "choices": [choice]}, separators=(",", ":")))


def event(data: str) -> bytes:
    return b"%x\r\ndata: %b\n\n\r\n" % (len(data) + 8, data.encode())


def plain(writer: asyncio.StreamWriter, status: int, content: Mapping[str, object]) -> None:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def main(port: Path, log: Path, *figures: str) -> None:
    with log.open("w") as file:
        server = await asyncio.start_server(Paced(file, list(figures)).serve, "127.0.0.1", 0, backlog=4096)
        port.write_text(f"{server.sockets[0].getsockname()[1]}\n")
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
