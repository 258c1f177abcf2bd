// README's picture of the page; scripts/make-page-picture runs it. What it shows is real: a
// table that was uploaded, a chart that a command drew of it, a command that runs.
// Settings: `base`, `token`; the user's workspace is empty. The picture is `out`/page.png.

import assert from 'node:assert/strict';
import path from 'node:path';

/** The picture is as high as the page, which is more. */
const SIZE = { width: 1280, height: 300 };

const CITIES = `city,2000,2020
Delhi,15692,30291
Lagos,7281,14368
Lima,7294,10719
Oslo,508,697
`;

/** A bar for each city, as a PNG: 8-bit grey (2, 0), each line after a byte for no filter. */
const CHART = `import csv, struct, zlib

with open("cities.csv") as file:
    growth = {row["city"]: int(row["2020"]) / int(row["2000"]) for row in csv.DictReader(file)}
width, lines = 480, []
for factor in sorted(growth.values(), reverse=True):
    bar = round(width * factor / max(growth.values()))
    lines += 24 * [b"\\0" + b"\\x40" * bar + b"\\xff" * (width - bar)] + 8 * [b"\\0" + b"\\xff" * width]

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

with open("growth.png", "wb") as png:
    png.write(b"\\x89PNG\\r\\n\\x1a\\n")
    png.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(lines), 8, 0, 0, 0, 0)))
    png.write(chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b""))
`;

/** Draws how fast a city may grow, in some 70 MiB, and looks for the mean until it is ended. */
const FORECAST = `import random, statistics

runs = [[random.gauss(0.03, 0.01) for year in range(20)] for run in range(100_000)]
while True:
    statistics.mean(sum(run) for run in random.sample(runs, 10_000))
`;
/** What the page's meter then shows at least, in bytes. */
const BUSY = 50 << 20;

export async function picture(visit, { base, token, out }) {
  const headers = { authorization: `Bearer ${token}` };
  const ask = async (method, route, body) => {
    const answer = await fetch(`${base}${route}`, { method, body, headers });
    assert.ok(answer.ok, `${route}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  };
  const put = (name, content) => ask('PUT', `/v1/files/content/${name}`, content);
  headers['content-type'] = 'application/json';
  const run = (command, wait) => ask('POST', '/v1/exec', JSON.stringify({ command, wait_seconds: wait }));

  await put('cities.csv', CITIES);
  await put('chart.py', CHART);
  await put('forecast.py', FORECAST);
  await put('notes.md', '# Lagos grew most\n');
  await put('reports/growth-of-cities.md', '# Lagos grew 1.97-fold\n');
  const drawn = await run('python3 chart.py', 30);
  assert.equal(drawn.exit_code, 0, drawn.stderr);
  await run('python3 forecast.py', 0);

  await visit.page.setViewportSize(SIZE);
  await visit.page.goto(base);
  await visit.signIn(token);
  await visit.row('growth.png').waitFor();
  await visit.page.locator('#commands li').first().waitFor();
  await visit.page.waitForFunction((busy) => document.querySelector('#facts meter').value > busy, BUSY);
  // No ring of the keyboard in the picture.
  await visit.page.evaluate(() => document.activeElement.blur());
  await visit.page.screenshot({ path: path.join(out, 'page.png'), fullPage: true });
}
