"""Front end and API from one port."""

import csv
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = """<!doctype html><meta charset="utf-8"><title>Sales by city</title>
<h1>Sales by city</h1><select id="city"><option>Lyon<option>Nantes</select> <output id="units"></output>
<script>
const city = document.getElementById("city");
city.onchange = async () => {
  const answer = await fetch("api/units?city=" + encodeURIComponent(city.value));
  document.getElementById("units").value = (await answer.json()).units + " units";
};
city.onchange();
</script>"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/api/units":
            city = parse_qs(url.query).get("city", [""])[0]
            units = sum(int(row["units"]) for row in csv.DictReader(open("sales.csv")) if row["city"] == city)
            return self.send("application/json", json.dumps({"city": city, "units": units}))
        return self.send("text/html; charset=utf-8", PAGE)

    def send(self, kind, body):
        body = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
