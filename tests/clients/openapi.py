"""Asks a server what docs/openapi.json says it answers: requests that schemathesis makes up, right and wrong.

    python openapi.py http://127.0.0.1:8080
"""

import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).parents[2]

# The same requests each time. Commands that are made up run in a sandbox: they are text. One worker: in Python 3.11
# before 3.11.8, ast.parse() in two threads at once can fail (CPython issue 106905), and hypothesis calls it.
OPTIONS = ["--seed=1", "--max-examples=15", "--workers=1", "--request-timeout=60", "--no-color"]

# Not asked for: `positive_data_acceptance`, because a path that is well-formed may lead to nothing or out of the
# workspace (404, 409, 403), and `ignored_auth`, because this server asks for none.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
]

command = [pathlib.Path(sys.executable).with_name("schemathesis"), "run", TOP / "docs/openapi.json"]
command += ["--url", sys.argv[1], "--checks", ",".join(CHECKS), *OPTIONS]
sys.exit(subprocess.run(command, check=False, cwd="/tmp").returncode)
