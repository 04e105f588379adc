"""Plays clients of the predecessor: the `websockets` library with its defaults, JSON by hand.

Usage: old_client.py PLAY URL. Exits with 0 when the play went as such clients expect.
"""

import asyncio
import json
import sys

import websockets

PATIENCE_S = 30


async def receive(websocket):
    return json.loads(await asyncio.wait_for(websocket.recv(), PATIENCE_S))


async def send(websocket, request_id, method, params):
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    await websocket.send(json.dumps(message))


async def to_the_end(websocket):
    """All messages up to and with process.completed."""
    messages = []
    while not messages or messages[-1].get("method") != "process.completed":
        messages.append(await receive(websocket))
    return messages


def lines_of(messages):
    outputs = [m["params"] for m in messages if m.get("method") == "process.output"]
    return "".join(output["data"] for output in outputs if output["type"] == "stdout")


async def reads_connected_first(url):
    async with websockets.connect(url) as websocket:
        connected = await receive(websocket)
        assert connected["method"] == "connected", connected
        assert connected["params"]["session_id"]
        await send(websocket, 1, "execute", {"command": "echo hello", "timeout": 60})
        messages = await to_the_end(websocket)
        assert messages[0]["id"] == 1 and messages[0]["result"]["status"] == "started"
        assert messages[1]["method"] == "process.started"
        assert lines_of(messages) == "hello\n"
        assert messages[-1]["params"]["exit_code"] == 0
        assert messages[-1]["params"]["status"] == "completed"


async def sends_execute_at_once(url):
    async with websockets.connect(url) as websocket:
        await send(websocket, "an-id", "execute", {"id": "x", "command": "echo at once"})
        messages = await to_the_end(websocket)
        assert lines_of(messages) == "at once\n"


async def collects_all_lines(url):
    async with websockets.connect(url) as websocket:
        await receive(websocket)
        await send(websocket, 1, "execute", {"command": "seq 1 20000"})
        messages = await to_the_end(websocket)
        assert lines_of(messages).split() == [str(n) for n in range(1, 20001)]


async def gets_a_long_line(url):
    async with websockets.connect(url) as websocket:
        await receive(websocket)
        command = "head -c 5000000 /dev/zero | tr '\\000' x"
        await send(websocket, 1, "execute", {"command": command})
        messages = await to_the_end(websocket)
        assert lines_of(messages) == "x" * 5_000_000


async def controls(url):
    async with websockets.connect(url) as websocket:
        await receive(websocket)
        await send(websocket, 1, "execute", {"command": "echo ready; sleep 100"})
        seen = []
        while not seen or seen[-1].get("method") != "process.output":
            seen.append(await receive(websocket))
        steps = [("PAUSE", "paused"), ("RESUME", "resumed"), ("CANCEL", "canceled")]
        for request_id, (kind, status) in enumerate(steps, start=2):
            await send(websocket, request_id, "control", {"type": kind})
            answers = {}
            while len(answers) < 2:
                message = await receive(websocket)
                answers[message.get("method", message.get("id"))] = message
            assert answers[request_id]["result"]["status"] == status, answers
            assert answers["process." + status]["params"]["status"] == status, answers
        messages = await to_the_end(websocket)
        assert messages[-1]["params"]["status"] == "failed"


async def three_in_a_row(url):
    async with websockets.connect(url) as websocket:
        await receive(websocket)
        for number in range(3):
            await send(websocket, number, "execute", {"command": f"echo {number}"})
            assert lines_of(await to_the_end(websocket)) == f"{number}\n"


async def errors(url):
    async with websockets.connect(url) as websocket:
        await receive(websocket)
        await websocket.send("this is no JSON")
        assert (await receive(websocket))["error"]["code"] == -32700
        await send(websocket, 1, "no_such_method", {})
        assert (await receive(websocket))["error"]["code"] == -32601
        await send(websocket, 2, "execute", {})
        assert (await receive(websocket))["error"]["code"] == -32602
        await send(websocket, 3, "control", {"type": "CANCEL"})
        assert (await receive(websocket))["error"]["code"] == -32002
        await send(websocket, 4, "hook_status", {})
        assert (await receive(websocket))["result"]["enabled"] is False


PLAYS = [
    reads_connected_first,
    sends_execute_at_once,
    collects_all_lines,
    gets_a_long_line,
    controls,
    three_in_a_row,
    errors,
]

if __name__ == "__main__":
    play, url = sys.argv[1:]
    asyncio.run({play.__name__: play for play in PLAYS}[play](url))
