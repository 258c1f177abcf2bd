"""answers.py URL TEXT COMMAND...: starts a server, and ends it when the answer to the URL has the text.

Prints as JSON whether it had, how the server had ended by then (null where it still ran a second later), how
many seconds it took, and the end of what the server said.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

WITHIN = 70
url, text, *command = sys.argv[1:]


def has_text():
    try:
        with urllib.request.urlopen(url, timeout=WITHIN) as answer:
            return text in answer.read().decode()
    except OSError:
        return False


with tempfile.TemporaryFile() as log:
    start = time.monotonic()
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    answered = False
    while not answered and server.poll() is None and time.monotonic() - start < WITHIN:
        answered = has_text()
        time.sleep(0 if answered else 0.1)
    seconds = time.monotonic() - start
    try:
        ended = server.wait(1)
    except subprocess.TimeoutExpired:
        ended = None
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
    said = log.read().decode(errors="replace")
print(json.dumps({"answered": answered, "ended": ended, "seconds": round(seconds, 1), "said": said}))
