"""An MCP client of the older transport, HTTP with SSE, which many frameworks still speak.

    casemate serve --http 127.0.0.1:8080
    python mcp_sse.py [http://127.0.0.1:8080]

With TOKEN in the environment it shows that token with each request.
"""

import asyncio
import os
import sys

from mcp import Client
from mcp.client.sse import sse_client


async def main() -> None:
    server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"} if "TOKEN" in os.environ else {}
    async with Client(sse_client(f"{server}/sse", headers=headers), mode="legacy") as client:
        print("protocol:  ", client.protocol_version)

        content = "one\ntwo\n"
        result = await client.call_tool("write_file", {"path": "sse.txt", "content": content})
        assert not result.is_error, result
        print("write_file:", result.content[0].text)

        result = await client.call_tool("shell_exec", {"command": "wc -l < sse.txt; exit 3"})
        print("shell_exec:", result.structured_content["stdout"].strip(), "lines, exit code",
              result.structured_content["exit_code"])
        assert result.structured_content["stdout"].strip() == "2", result
        assert result.structured_content["exit_code"] == 3, result


asyncio.run(main())
