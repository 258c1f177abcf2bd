"""Lets frameworks call shell_exec as they do for a model, and prints what they pass to the model.

    python calls.py URL ARGUMENTS FRAMEWORK...

URL is of a server over HTTP: http://127.0.0.1:8080/mcp. ARGUMENTS are JSON.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TOOL = "shell_exec"
ARGUMENTS = json.loads(sys.argv[2])


async def openai_agents(url):
    from agents.mcp import MCPServerStreamableHttp

    async with MCPServerStreamableHttp(params={"url": url}) as server:
        result = await server.call_tool(TOOL, ARGUMENTS)
    return result.content[0].text


async def google_genai(url):
    from google.genai import types
    from google.genai._adapters import McpToGenAiToolAdapter
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        adapter = McpToGenAiToolAdapter(session, await session.list_tools())
        result = await adapter.call_tool(types.FunctionCall(name=TOOL, args=ARGUMENTS))
    return result.content[0].text


async def smolagents(url):
    from smolagents import MCPClient

    def call():
        with MCPClient({"url": url, "transport": "streamable-http"}, structured_output=False) as tools:
            [tool] = [tool for tool in tools if tool.name == TOOL]
            return tool(**ARGUMENTS)

    # It runs its own event loop.
    return await asyncio.to_thread(call)


async def mcpo(url):
    def call():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program = os.path.join(os.path.dirname(sys.executable), "mcpo")
        options = ["--host", "127.0.0.1", "--port", str(port), "--type", "streamable-http"]
        bridge = subprocess.Popen([program, *options, "--", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return posted(f"http://127.0.0.1:{port}/{TOOL}", bridge)
        finally:
            bridge.terminate()
            bridge.wait()

    return await asyncio.to_thread(call)


def posted(url, bridge):
    """The answer of the bridge, once it listens."""
    request = urllib.request.Request(url, json.dumps(ARGUMENTS).encode(), {"Content-Type": "application/json"})
    while bridge.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.2)
    raise RuntimeError(f"mcpo ended with {bridge.returncode}")


async def fastmcp(url):
    from fastmcp import Client

    async with Client(url) as client:
        result = await client.call_tool(TOOL, ARGUMENTS)
    return result.content[0].text


async def pydantic_ai(url):
    from pydantic_ai.mcp import MCPToolset

    toolset = MCPToolset(url)
    async with toolset:
        result = await toolset.direct_call_tool(TOOL, ARGUMENTS)
    return json.dumps(result, default=str)


async def llama_index(url):
    from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

    tools = await McpToolSpec(BasicMCPClient(url)).to_tool_list_async()
    [tool] = [tool for tool in tools if tool.metadata.name == TOOL]
    return str(await tool.acall(**ARGUMENTS))


def main():
    url, _, *frameworks = sys.argv[1:]
    for framework in frameworks:
        said = asyncio.run(globals()[framework](url))
        print(f"{framework}: {json.dumps(said)}")


main()
