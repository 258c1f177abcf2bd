"""An MCP client that starts Casemate itself and talks to it over stdio.

    python mcp_stdio.py [path/to/casemate]
"""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters


async def main() -> None:
    server = StdioServerParameters(
        command=sys.argv[1] if len(sys.argv) > 1 else "casemate",
        args=["serve"],
        # The user of the sandbox. The server's other settings come from the environment too.
        env={"CASEMATE_USER": "ada", **os.environ},
    )
    async with Client(server) as client:
        print("tools:     ", *(tool.name for tool in (await client.list_tools()).tools))

        command = "echo 'Hello from the sandbox' > hello.txt; python3 -c 'print(2 ** 64)'"
        result = await client.call_tool("shell_exec", {"command": command})
        print("shell_exec:", result.structured_content["outcome"], result.structured_content["stdout"].strip())
        assert result.structured_content["stdout"] == "18446744073709551616\n", result

        result = await client.call_tool("read_file", {"path": "hello.txt"})
        print("read_file: ", result.content[0].text)
        assert "Hello from the sandbox" in result.content[0].text, result


asyncio.run(main())
