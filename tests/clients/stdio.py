"""Uses a server over stdio as a client does, with the Python SDK, and says what came of it.

    python stdio.py [--stay] COMMAND ARGUMENT...

COMMAND starts the server. With --stay the last call runs until somebody kills this program.
"""

import asyncio
import sys

from mcp import Client, StdioServerParameters

STAY = "--stay"


def one_line(result):
    assert not result.is_error, result
    return result.content[0].text.strip().replace("\n", " | ")


async def use(client):
    print("tools:", *(tool.name for tool in (await client.list_tools()).tools), flush=True)

    result = await client.call_tool("shell_exec", {"command": "echo $((6 * 7))"})
    print("shell_exec:", result.structured_content["stdout"].strip())

    one_line(await client.call_tool("write_file", {"path": "notes/a.txt", "content": "one\ntwo\n"}))
    edit = {"path": "notes/a.txt", "old_text": "two", "new_text": "three"}
    one_line(await client.call_tool("edit_file", edit))
    print("read_file:", one_line(await client.call_tool("read_file", {"path": "notes/a.txt"})))
    listed = await client.call_tool("list_files", {"path": "notes"})
    print("list_files:", *(entry["path"] for entry in listed.structured_content["entries"]))


async def watch(client):
    told = []

    async def progress(done, total, message):
        told.append(message)

    await client.call_tool("shell_exec", {"command": "sleep 12"}, progress_callback=progress)
    print("progress:", "told" if told else "silent")


async def main(arguments):
    stays = arguments[0] == STAY
    command, *rest = arguments[stays:]
    async with Client(StdioServerParameters(command=command, args=rest)) as client:
        await use(client)
        if stays:
            print("stays", flush=True)
            await client.call_tool("shell_exec", {"command": "sleep 1234", "timeout_seconds": 300})
        await watch(client)


asyncio.run(main(sys.argv[1:]))
