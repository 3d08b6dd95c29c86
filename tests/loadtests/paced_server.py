"""An OpenAI-compatible server with known timings and chosen faults, in a process of its own.

`python paced_server.py OPTIONS_JSON` prints its port and serves until it is killed. It answers every chat completion
with a role chunk and the first token in one write after `ttft_s`, then a token every `itl_s` on an absolute schedule.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import time
from typing import Any

OPTIONS: dict[str, Any] = {
    "ttft_s": 0.05,
    "itl_s": 0.01,
    "tokenize": True,  # /tokenize answers
    "per_write": 1,  # tokens in one write
    # "truncate" | "error" | "reset" | "hang" | "no_usage" | "wrong_usage" | "malformed" | "garbage" | "stall" |
    # "slow_headers" | "http_401" | "http_404" | "http_429" | "http_500" | "http_503"
    # | "double_usage" | "freeze"
    "fault": None,
    "fault_every": 1,  # which requests have it: every n-th; `freeze` is had by the n-th alone, and by all others with it
    "models": ["paced"],  # what /v1/models tells, and what is answered for
    "slots": None,  # how many answers it makes at once: the others wait, as in an engine
    "echo": False,  # a refusal repeats the messages
    "close": False,  # close the connection after each response
    "idle_s": None,  # close a connection that is idle for so long
    "stall_s": 2.0,  # how long a stall lasts, or how long the head of a slow answer takes
    "cut": None,  # write the stream in pieces of so many bytes
    "http10": False,  # no chunks and no length: the body ends with the connection
    "tls": None,  # files of a certificate and its key
    "port": 0,
    "speaks": "openai",  # "openai" | "dialect": reasoning first, carriage returns, comments, other key order, no spaces
}
REFUSALS = {
    "http_404": (404, {"error": {"message": "The model `paced` does not exist.", "code": 404}}),
    "http_429": (429, {"error": {"message": "too many requests"}}),
    "http_500": (500, {"error": {"message": "the engine is dead"}}),
    "http_503": (503, "<html>no server is available</html>"),
}
TEMPLATE_TOKENS = 5


class Counters:
    requests = prompt = output = 0


COUNTERS = Counters()
SLOTS: asyncio.Semaphore | None = None


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), OPTIONS["idle_s"])).decode()
            path = head.split(" ", 2)[1]
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
            )
            body = json.loads(await reader.readexactly(length)) if length else {}
            await answer(writer, path, body, head)
            if OPTIONS["close"] or OPTIONS["http10"]:
                return
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
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
    if path == "/v1/models":
        if OPTIONS["fault"] == "http_401":
            return plain(writer, *refused(head))
        return plain(writer, 200, {"data": [{"id": name} for name in OPTIONS["models"]]})
    if not path.startswith("/v1/"):
        return plain(writer, 404, {"detail": "Not Found"})
    return await complete(writer, body, head)


def refused(head: str) -> tuple[int, dict[str, Any]]:
    key = head.partition("Bearer ")[2].split("\r\n")[0]
    return 401, {"error": {"message": f"Incorrect API key provided: {key}"}}


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
        return plain(writer, *refused(head))
    if body.get("model", "paced") not in OPTIONS["models"]:
        return plain(writer, 404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
    if streamed and OPTIONS["fault"] == "freeze" and COUNTERS.requests == OPTIONS["fault_every"]:
        time.sleep(OPTIONS["stall_s"])
    prompt = tokens(body["messages"][0]["content"]) + TEMPLATE_TOKENS
    COUNTERS.prompt += prompt
    if not streamed:
        COUNTERS.output += 1
        return plain(writer, 200, {"usage": {"prompt_tokens": prompt, "completion_tokens": 1}})
    if fault in REFUSALS:
        status, said = REFUSALS[fault]
        return plain(writer, status, {"error": {"message": body["messages"]}} if OPTIONS["echo"] else said)
    async with SLOTS or contextlib.nullcontext():
        await stream(writer, prompt, body["max_tokens"], fault)
    return None


async def stream(writer: asyncio.StreamWriter, prompt: int, count: int, fault: str | None) -> None:
    begin = time.perf_counter() + OPTIONS["ttft_s"]
    await send_head(writer, fault)
    await until(begin)
    pending = chunk(event({"role": "assistant", "content": ""}))
    step = OPTIONS["per_write"]
    for index in range(count):
        if fault in {"hang", "stall"} and index == count // 2:
            await asyncio.sleep(3600 if fault == "hang" else OPTIONS["stall_s"])
        if fault in {"truncate", "error", "reset", "malformed", "garbage"} and index == count // 2:
            return await broken(writer, fault)
        last = index == count - 1
        pending += chunk(event({"content": f" t{index}"}, "length" if last else None))
        COUNTERS.output += 1
        if index % step == step - 1 or last:
            await until(begin + (index - index % step) * OPTIONS["itl_s"])
            await send(writer, pending)
            pending = b""
    told = {"wrong_usage": -count, "double_usage": 2 * count}.get(fault or "", count)
    usage = {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": told}}
    if fault != "no_usage":
        await send(writer, chunk(f"data: {json.dumps(usage)}\n\n".encode()))
    await send(writer, chunk(b"data: [DONE]\n\n") + chunk(b""))
    return None


async def send_head(writer: asyncio.StreamWriter, fault: str | None) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    if OPTIONS["http10"]:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    if fault == "slow_headers":
        for index in range(0, len(head), 16):
            writer.write(head[index : index + 16])
            await asyncio.sleep(OPTIONS["stall_s"] * 16 / len(head))
    else:
        await send(writer, head)


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    step = OPTIONS["cut"] or len(data) or 1
    for index in range(0, len(data), step):
        writer.write(data[index : index + step])
        await writer.drain()
        if OPTIONS["cut"]:
            await asyncio.sleep(0)


async def broken(writer: asyncio.StreamWriter, fault: str) -> None:
    if fault == "reset":
        writer.transport.abort()
        raise ConnectionResetError
    if fault == "error":
        writer.write(chunk(b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n'))
        writer.write(chunk(b"data: [DONE]\n\n"))
    if fault == "garbage":
        writer.write(b"this is no chunk\r\n")
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
    if OPTIONS["speaks"] == "dialect":
        text = {"reasoning_content" if key == "content" else key: value for key, value in delta.items()}
        data["choices"] = [{"finish_reason": finish, "delta": delta if finish else text}]
        data["created"] += int(time.time() * 50)  # no two events are alike
        return f": ping\r\n\r\ndata:{json.dumps(data, separators=(',', ':'))}\r\n\r\n".encode()
    return f"data: {json.dumps(data)}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return data if OPTIONS["http10"] else b"%x\r\n%b\r\n" % (len(data), data)


def tokens(text: str) -> int:
    """Three tokens to two words."""
    return len(text.split()) * 3 // 2


async def until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - time.perf_counter()))


async def main() -> None:
    global SLOTS  # noqa: PLW0603 - one server to a process
    SLOTS = asyncio.Semaphore(OPTIONS["slots"]) if OPTIONS["slots"] else None
    tls = None
    if OPTIONS["tls"]:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*OPTIONS["tls"])
    server = await asyncio.start_server(serve, "127.0.0.1", OPTIONS["port"], ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the one thing the test reads
    await server.serve_forever()


if __name__ == "__main__":
    OPTIONS |= json.loads(sys.argv[1])
    asyncio.run(main())
