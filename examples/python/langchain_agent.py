"""Casemate's tools in LangChain, as an agent gets them; called here without a model.

    casemate serve --http 127.0.0.1:8080
    python langchain_agent.py [http://127.0.0.1:8080]

With TOKEN in the environment it shows that token with each request.
"""

import asyncio
import os
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient


async def main() -> None:
    server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"} if "TOKEN" in os.environ else {}
    connection = {"transport": "streamable_http", "url": f"{server}/mcp", "headers": headers}
    # An agent takes them as they are: create_agent(model, await client.get_tools()).
    tools = {tool.name: tool for tool in await MultiServerMCPClient({"casemate": connection}).get_tools()}
    print("tools:     ", *tools)

    result = await tools["shell_exec"].ainvoke({"command": "python3 -c 'print(2 ** 64)' | tee power.txt"})
    print("shell_exec:", result[0]["text"].strip())
    assert "18446744073709551616" in str(result), result

    result = await tools["read_file"].ainvoke({"path": "power.txt"})
    print("read_file: ", result[0]["text"].strip())
    assert "18446744073709551616" in str(result), result


asyncio.run(main())
