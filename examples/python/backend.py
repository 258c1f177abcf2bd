"""The backend of an application that has its own users and one token for all of them.

It stores a file for one of them, runs a command over it for the same user, and downloads
what the command wrote. Each request names the user; each user has a sandbox of its own.

    casemate token --delegate webapp      # the table goes into the file of the tokens
    casemate serve --http 127.0.0.1:8080 --auth tokens --tokens-file tokens.toml
    TOKEN=cm_... python backend.py [http://127.0.0.1:8080]
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

CSV = b"city,people\nLyon,520000\nNantes,320000\n"
SUMMARY = "awk -F, 'NR > 1 { sum += $2 } END { print sum }' data/cities.csv > data/total.txt"


def of_user(server: str, user: str) -> httpx2.AsyncClient:
    """A client whose requests are all for `user`, whom the application has authenticated."""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Casemate-User": user}
    return httpx2.AsyncClient(base_url=server, headers=headers, timeout=60)


async def summarize(server: str, user: str, csv: bytes) -> bytes:
    async with of_user(server, user) as http:
        form = {"file": ("cities.csv", csv)}
        uploaded = await http.post("/files/upload", params={"path": "data"}, files=form)
        uploaded.raise_for_status()
        print("uploaded:  ", uploaded.json())

        async with Client(streamable_http_client(f"{server}/mcp", http_client=http)) as client:
            result = await client.call_tool("shell_exec", {"command": SUMMARY})
            print("shell_exec:", result.structured_content["outcome"], result.structured_content["exit_code"])
            assert result.structured_content["exit_code"] == 0, result

        downloaded = await http.get("/files/download/data/total.txt")
        downloaded.raise_for_status()
        return downloaded.content


async def main() -> None:
    server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    total = await summarize(server, "alice@example.com", CSV)
    print("downloaded:", total)
    assert total == b"840000\n", total

    # Another user of the same application has another sandbox: the file is not there.
    async with of_user(server, "bob@example.com") as http:
        answer = await http.get("/files/download/data/total.txt")
    print("for bob:   ", answer.status_code, answer.text.strip())
    assert answer.status_code == 404, answer


asyncio.run(main())
