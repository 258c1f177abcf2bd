#!/usr/bin/env bash
# Casemate with only curl: a tool call in two protocol versions, and the routes for files.
#
#     casemate serve --http 127.0.0.1:8080
#     examples/curl.sh [http://127.0.0.1:8080]
#
# With TOKEN in the environment it sends that token with each request.
set -euo pipefail

server=${1:-http://127.0.0.1:8080}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# In a file and not in an argument, because every user can list the arguments of processes.
printf '%s\n' silent show-error fail-with-body ${TOKEN:+"header = \"Authorization: Bearer $TOKEN\""} >curlrc

request() {
    curl --config curlrc "$@"
}

# expect TEXT: prints stdin, and ends the script if it does not contain TEXT.
expect() {
    local answer
    answer=$(cat)
    printf '  %s\n' "$answer"
    case $answer in *"$1"*) ;; *) echo "error: expected $1" >&2 && exit 1 ;; esac
}

# call HEADERS... BODY: a JSON-RPC request.
call() {
    request "$server/mcp" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
        "${@:1:$#-1}" -d "${@: -1}"
}

echo "tools/call, protocol 2025-06-18"
call -H 'MCP-Protocol-Version: 2025-06-18' '{
  "jsonrpc": "2.0", "id": 1, "method": "tools/call",
  "params": { "name": "shell_exec", "arguments": { "command": "expr 6 \\* 7" } }
}' | expect '"stdout":"42\n"'

echo "tools/call, protocol 2026-07-28"
call -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: shell_exec' '{
  "jsonrpc": "2.0", "id": 1, "method": "tools/call",
  "params": {
    "name": "shell_exec", "arguments": { "command": "expr 6 \\* 7" },
    "_meta": {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { "name": "curl", "version": "1" },
      "io.modelcontextprotocol/clientCapabilities": {}
    }
  }
}' | expect '"stdout":"42\n"'

echo "upload a form's file, list it, download it"
echo 'Lyon,520000' >cities.csv
request -F file=@cities.csv "$server/files/upload?path=data" | expect '"success":true'
request "$server/files/list?path=data" | expect '"filename":"cities.csv"'
request -o back.csv "$server/files/download/data/cities.csv"
cmp cities.csv back.csv

echo "put a file, put an archive, download a directory as one, delete both"
request -T cities.csv "$server/files/content/put.csv" | expect '"success":true'
tar -cf - cities.csv | request -T - "$server/files/content/project?unpack=tar" | expect '"success":true'
request "$server/files/download/project" | tar -tf - | expect 'cities.csv'
request -X DELETE "$server/files/content/put.csv" | expect '"success":true'
request -X DELETE "$server/files/content/project?recursive=true" | expect '"success":true'

echo "every request was answered as expected"
