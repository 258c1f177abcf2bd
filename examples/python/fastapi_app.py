"""An application with users of its own, in FastAPI: upload, run, list, download. It speaks plain HTTP to Casemate.

    TOKEN=cm_... CASEMATE=http://127.0.0.1:8080 fastapi run fastapi_app.py    # a delegate's token, see backend.py
    TOKEN=cm_... python fastapi_app.py --try http://127.0.0.1:8080            # asks itself, for two users
"""

import os
import sys
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Response, UploadFile

app = FastAPI()
server = os.environ.get("CASEMATE", "http://127.0.0.1:8080") if "--try" not in sys.argv else sys.argv[-1]
casemate = httpx.AsyncClient(base_url=f"{server}/v1", timeout=90)


def current_user(x_demo_user: Annotated[str, Header()]) -> str:
    """Your own sign-in goes here: whoever this returns has a sandbox."""
    return x_demo_user


User = Annotated[str, Depends(current_user)]


async def ask(user: str, method: str, path: str, **more) -> httpx.Response:
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Casemate-User": user}
    answer = await casemate.request(method, path, headers=headers, **more)
    if answer.is_error:
        raise HTTPException(answer.status_code, answer.json()["error"])
    return answer


@app.post("/files")
async def upload(user: User, file: UploadFile):
    return (await ask(user, "POST", "/files/upload", files={"file": (file.filename, file.file)})).json()["data"]


@app.post("/run")
async def run(user: User, command: str):
    return (await ask(user, "POST", "/exec", json={"command": command})).json()


@app.get("/files")
async def files(user: User, path: str = ""):
    return (await ask(user, "GET", "/files/list", params={"path": path})).json()["data"]["files"]


@app.get("/files/{path:path}")
async def download(user: User, path: str):
    answer = await ask(user, "GET", f"/files/content/{path}")
    return Response(answer.content, media_type="application/octet-stream")


async def try_it() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http:
        ada, bob = {"X-Demo-User": "ada@example.com"}, {"X-Demo-User": "bob@example.com"}
        await http.post("/files", headers=ada, files={"file": ("cities.csv", b"Lyon,520000\nNantes,320000\n")})
        command = "awk -F, '{ sum += $2 } END { print sum }' cities.csv | tee total.txt"
        ran = (await http.post("/run", headers=ada, params={"command": command})).json()
        assert (ran["exit_code"], ran["stdout"]) == (0, "840000\n"), ran
        names = [file["filename"] for file in (await http.get("/files", headers=ada)).json()]
        assert {"cities.csv", "total.txt"} <= set(names), names
        assert (await http.get("/files/total.txt", headers=ada)).content == b"840000\n"
        assert (await http.get("/files/total.txt", headers=bob)).status_code == 404
        print("works:", names)


if __name__ == "__main__":
    import asyncio

    asyncio.run(try_it())
