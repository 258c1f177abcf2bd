"""An MCP client that reaches a running Casemate over HTTP.

    casemate serve --http 127.0.0.1:8080
    python mcp_http.py [http://127.0.0.1:8080]

With TOKEN in the environment it shows that token with each request.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main() -> None:
    server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"} if "TOKEN" in os.environ else {}
    # A command may run for 50 s before the server answers that it still runs.
    http = httpx2.AsyncClient(headers=headers, timeout=60)
    async with Client(streamable_http_client(f"{server}/mcp", http_client=http)) as client:
        print("protocol:  ", client.protocol_version)
        print("tools:     ", *(tool.name for tool in (await client.list_tools()).tools))

        command = "for n in 1 2 3; do echo $n; sleep 0.3; done | tee numbers.txt"
        result = await client.call_tool("shell_exec", {"command": command}, progress_callback=progress)
        print("shell_exec:", result.structured_content["outcome"], result.structured_content["stdout"].split())
        assert result.structured_content["stdout"] == "1\n2\n3\n", result

        result = await client.call_tool("read_file", {"path": "numbers.txt", "start_line": 3})
        print("read_file: ", result.content[0].text)
        assert "3" in result.content[0].text, result


async def progress(_done: float, _total: float | None, message: str | None) -> None:
    print("  meanwhile:", (message or "").split())


asyncio.run(main())
