"""An OpenAI-compatible server with known timings and chosen faults, in a process of its own.

`python paced_server.py OPTIONS_JSON` prints its port and serves until it is killed. It answers every chat completion
with a role chunk and the first token in one write after `ttft_s`, then a token every `itl_s` on an absolute schedule.
"""

import asyncio
import json
import sys
import time
from typing import Any

OPTIONS: dict[str, Any] = {
    "ttft_s": 0.05,
    "itl_s": 0.01,
    "tokenize": True,  # /tokenize answers
    "per_write": 1,  # tokens in one write
    "fault": None,  # "truncate" | "error" | "reset" | "http_500" | "http_401" | "hang" | "no_usage" | "malformed"
    "fault_every": 1,  # which requests have it: every n-th
    "close": False,  # close the connection after each response
}
TEMPLATE_TOKENS = 5


class Counters:
    requests = prompt = output = 0


COUNTERS = Counters()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1]
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
            )
            body = json.loads(await reader.readexactly(length)) if length else {}
            await answer(writer, path, body, head)
            if OPTIONS["close"]:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def answer(writer: asyncio.StreamWriter, path: str, body: dict[str, Any], head: str) -> None:
    if path == "/tokenize":
        return tokenize(writer, body)
    if path == "/metrics":
        text = (
            f'vllm:prompt_tokens_total{{engine="0"}} {COUNTERS.prompt}\n'
            f'vllm:generation_tokens_total{{engine="0"}} {COUNTERS.output}\n'
        )
        return plain(writer, 200, text)
    return await complete(writer, body, head)


def tokenize(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    if not OPTIONS["tokenize"]:
        plain(writer, 404, {"detail": "Not Found"})
    elif "messages" in body:
        plain(writer, 200, {"count": tokens(body["messages"][0]["content"]) + TEMPLATE_TOKENS})
    else:
        plain(writer, 200, {"count": tokens(body["prompt"])})


async def complete(writer: asyncio.StreamWriter, body: dict[str, Any], head: str) -> None:
    fault = OPTIONS["fault"]
    streamed = body.get("stream", False)
    COUNTERS.requests += streamed
    if streamed and COUNTERS.requests % OPTIONS["fault_every"]:
        fault = None
    if fault == "http_401":
        key = head.partition("Bearer ")[2].split("\r\n")[0]
        return plain(writer, 401, {"error": {"message": f"Incorrect API key provided: {key}"}})
    prompt = tokens(body["messages"][0]["content"]) + TEMPLATE_TOKENS
    COUNTERS.prompt += prompt
    if not streamed:
        COUNTERS.output += 1
        return plain(writer, 200, {"usage": {"prompt_tokens": prompt, "completion_tokens": 1}})
    if fault == "http_500":
        return plain(writer, 500, {"error": {"message": "the engine is dead"}})
    await stream(writer, prompt, body["max_tokens"], fault)
    return None


async def stream(writer: asyncio.StreamWriter, prompt: int, count: int, fault: str | None) -> None:
    begin = time.perf_counter() + OPTIONS["ttft_s"]
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await until(begin)
    pending = chunk(event({"role": "assistant", "content": ""}))
    step = OPTIONS["per_write"]
    for index in range(count):
        if fault == "hang" and index == count // 2:
            await asyncio.sleep(3600)
        if fault in {"truncate", "error", "reset", "malformed"} and index == count // 2:
            return await broken(writer, fault)
        last = index == count - 1
        pending += chunk(event({"content": f" t{index}"}, "length" if last else None))
        COUNTERS.output += 1
        if index % step == step - 1 or last:
            await until(begin + (index - index % step) * OPTIONS["itl_s"])
            writer.write(pending)
            await writer.drain()
            pending = b""
    usage = {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": count}}
    if fault != "no_usage":
        writer.write(chunk(f"data: {json.dumps(usage)}\n\n".encode()))
    writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()
    return None


async def broken(writer: asyncio.StreamWriter, fault: str) -> None:
    if fault == "reset":
        writer.transport.abort()
        raise ConnectionResetError
    if fault == "error":
        writer.write(chunk(b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n'))
        writer.write(chunk(b"data: [DONE]\n\n"))
    if fault == "malformed":
        writer.write(chunk(b"data: {not json\n\n") + chunk(b"data: [DONE]\n\n"))
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def plain(writer: asyncio.StreamWriter, status: int, content: Any) -> None:
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """As long as vLLM's: the naive reader's error depends on it."""
    data = {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "paced",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}],
    }
    return f"data: {json.dumps(data)}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def tokens(text: str) -> int:
    """Three tokens to two words."""
    return len(text.split()) * 3 // 2


async def until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - time.perf_counter()))


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the one thing the test reads
    await server.serve_forever()


if __name__ == "__main__":
    OPTIONS |= json.loads(sys.argv[1])
    asyncio.run(main())
