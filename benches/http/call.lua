-- What wrk sends: one request of MCP 2026-07-28, again and again. The body and the headers that name what is called
-- come as arguments: METHOD NAME BODY. Counts the answers that are none.

local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(arguments)
    wrk.method = "POST"
    wrk.body = arguments[3]
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["Accept"] = "application/json, text/event-stream"
    wrk.headers["MCP-Protocol-Version"] = "2026-07-28"
    wrk.headers["Mcp-Method"] = arguments[1]
    if arguments[2] ~= "" then
        wrk.headers["Mcp-Name"] = arguments[2]
    end
    failed = 0
end

function response(status, _, body)
    if status ~= 200 or not body:find('"result"', 1, true) or body:find('"isError":true', 1, true) then
        failed = failed + 1
    end
end

-- Calls a second, median and 99th percentile in ms, failures: one line for the script.
function done(summary, latency)
    local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    for _, thread in ipairs(threads) do
        failed = failed + thread:get("failed")
    end
    io.write(string.format("result %.0f %.2f %.2f %d\n", summary.requests / summary.duration * 1e6,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
