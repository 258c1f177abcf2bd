// The pictures of the page in README and docs; scripts/make-page-picture runs it. What they show is
// real: a table that was uploaded, a chart that a command drew of it, a command that runs.
// Settings: `base`, `token`; the user's workspace is empty. The pictures are in `out`: page.png and
// preview.png, and in `all` each view in light and dark, at each width.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { requests } from './requests.mjs';

/** A picture is as high as the page, which is more. */
const SIZE = { width: 1280, height: 300 };
/** A pane is as high as the window. */
const WINDOW = { width: 1280, height: 620 };
const SIZES = [{ width: 375, height: 760 }, { width: 768, height: 1024 }, { width: 1440, height: 900 }];

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
  await fillWorkspace(requests(base, token));
  const { page } = visit;
  await page.setViewportSize(SIZE);
  await page.goto(base);
  await visit.signIn(token);
  await visit.row('growth.png').waitFor();
  await page.locator('#log li').first().waitFor();
  await page.waitForFunction((busy) => document.querySelector('#facts meter').value > busy, BUSY);
  await shoot(page, path.join(out, 'page.png'), true);
  await page.setViewportSize(WINDOW);
  await open(page, 'cities.csv');
  await shoot(page, path.join(out, 'preview.png'), false);
  await close(page);
  await allViews(page, base, path.join(out, 'all'));
}

async function fillWorkspace({ put, run }) {
  await put('cities.csv', CITIES);
  await put('chart.py', CHART);
  await put('forecast.py', FORECAST);
  await put('notes.md', '# Lagos grew most\n');
  await put('reports/growth-of-cities.md', '# Lagos grew 1.97-fold\n');
  await run('head -3 cities.csv');
  assert.equal((await run('python3 -m pytest -q')).outcome, 'exited');
  const drawn = await run('python3 chart.py', { wait_seconds: 30 });
  assert.equal(drawn.exit_code, 0, drawn.stderr);
  await run('python3 forecast.py', { wait_seconds: 0 });
}

/** No ring of the keyboard is in the picture. */
async function shoot(page, file, fullPage) {
  await page.evaluate(() => document.activeElement.blur());
  await page.mouse.move(1, 1);
  await page.screenshot({ path: file, fullPage });
}

async function open(page, name) {
  await page.locator('#rows').getByRole('link', { name, exact: true }).click();
  await page.locator('#preview-content').waitFor();
}

/** The browser goes back to the folder. */
async function close(page) {
  await page.locator('#preview-close').click();
  await page.waitForFunction(() => !location.hash.includes('?'));
}

/** Pictures to look at after a change of the page. */
async function allViews(page, base, out) {
  fs.mkdirSync(out, { recursive: true });
  const views = { list: '', folder: 'reports', table: '?cities.csv', image: '?growth.png', code: '?chart.py' };
  for (const [view, where] of Object.entries(views)) {
    await page.goto(`${base}/#/${where}`);
    await page.locator(where.startsWith('?') ? '#preview-content' : '#rows tr').first().waitFor();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const size of SIZES) {
        await page.setViewportSize(size);
        const fullPage = !where.startsWith('?');
        await shoot(page, path.join(out, `${view}-${colorScheme}-${size.width}.png`), fullPage);
      }
    }
    if (where.startsWith('?')) await close(page);
  }
}
