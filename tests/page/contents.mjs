// File names open: text, tables and images in a pane, hostile ones too.
// Settings: `base`, `token`; the user's workspace is empty.

import assert from 'node:assert/strict';
import zlib from 'node:zlib';

import { requests } from './requests.mjs';

const CSV = '\uFEFFcity;said\r\nOslo;"a ""quoted"" word; and\na second line"\r\n<b>Lima</b>;=1+1\r\n';

/** A grey image, as a PNG. */
function png(width, height) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(zlib.crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const lines = Buffer.alloc((width + 1) * height, 0x80);
  for (let line = 0; line < height; line += 1) lines[line * (width + 1)] = 0;
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(lines)), chunk('IEND', Buffer.alloc(0))]);
}

/** What an SVG would do as a document of the page's origin. */
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">
  <script>parent.document.title = "taken"; fetch("/status")</script>
  <image href="/files/content/secret.png" width="10" height="10"/>
  <rect width="80" height="40" fill="teal" onclick="alert(1)"/>
</svg>`;

const FILES = {
  'code.py': 'def main():\n\treturn "<img src=x onerror=alert(1)>"\n',
  'trojan.c': 'if (admin\u202E) { // \u0007 }\n',
  'table.csv': CSV,
  'wide.tsv': `${Array.from({ length: 60 }, (_, at) => `c${at}`).join('\t')}\n`,
  'long.csv': `n,square\n${Array.from({ length: 1000 }, (_, at) => `${at},${at * at}`).join('\n')}\n`,
  'large.log': 'a line of a log\n'.repeat(40_000),
  'empty.txt': '',
  'paper.pdf': '%PDF-1.7',
  'binary': Buffer.from([0, 1, 2, 3]),
  'chart.png': png(48, 32),
  'drawing.svg': SVG,
  'false.png': '<html><script>document.title = "taken"</script>',
  'huge.png': Buffer.alloc((16 << 20) + 1),
  'page.html': '<!doctype html><script>document.title = "taken"</script>',
};

export async function contents(visit, { base, token }) {
  const { page } = visit;
  const { put } = requests(base, token);
  for (const [name, content] of Object.entries(FILES)) await put(name, content);
  await page.goto(base);
  await visit.signIn(token);
  await visit.row('code.py').waitFor();
  await texts(visit);
  await tables(visit);
  await images(visit);
  await byAddress(visit, base);
  await byKeyboard(visit);
  await longNames(visit, put, base);
  assert.match(await page.title(), /Casemate$/);
}

const about = (visit, text) => visit.page.locator('#preview-about').filter({ hasText: text }).waitFor();
const content = (visit) => visit.page.locator('#preview-content');

/** Opens a file, and sees that this is said of it. */
async function open(visit, name, text) {
  await visit.page.locator('#rows').getByRole('link', { name, exact: true }).click();
  await about(visit, text);
}

async function close(visit) {
  await visit.button('Close').click();
  await visit.page.locator('#preview').waitFor({ state: 'hidden' });
}

async function texts(visit) {
  await open(visit, 'code.py', '51 B.');
  assert.equal(await content(visit).textContent(), FILES['code.py']);
  assert.equal(await content(visit).locator('img').count(), 0);
  await visit.look('preview-text');
  await close(visit);
  await open(visit, 'trojan.c', ' B.');
  assert.equal(await content(visit).textContent(), 'if (admin\\u{202e}) { // \\u{7} }\n');
  await close(visit);
  await open(visit, 'page.html', ' B.');
  assert.equal(await content(visit).textContent(), FILES['page.html']);
  await close(visit);
  await open(visit, 'large.log', 'The first 256 KiB of 625 KiB.');
  assert.equal((await content(visit).textContent()).length, 256 << 10);
  await close(visit);
  for (const [name, said] of [['empty.txt', 'This file is empty.'], ['binary', 'not text'], ['paper.pdf', 'A PDF is not shown here.']]) {
    await open(visit, name, said);
    assert.ok(await content(visit).isHidden(), name);
    await close(visit);
  }
}

async function tables(visit) {
  const cells = (row) => visit.page.locator('#preview-content tr').nth(row).locator('th, td').allTextContents();
  await open(visit, 'table.csv', '2 rows');
  assert.deepEqual(await cells(0), ['city', 'said']);
  assert.deepEqual(await cells(1), ['Oslo', 'a "quoted" word; and\na second line']);
  assert.deepEqual(await cells(2), ['<b>Lima</b>', '=1+1']);
  await visit.look('preview-table');
  await close(visit);
  await open(visit, 'long.csv', 'Shown are the first 200 rows.');
  assert.equal(await visit.page.locator('#preview-content tr').count(), 200);
  await close(visit);
  await open(visit, 'wide.tsv', 'Shown are the first 50 columns.');
  assert.equal((await cells(0)).length, 50);
  await close(visit);
}

async function images(visit) {
  await open(visit, 'chart.png', '48 × 32 pixels');
  await visit.look('preview-image');
  // An address without an origin: whoever opens it in another tab has no page of this server.
  assert.match(await content(visit).locator('img').getAttribute('src'), /^data:image\/png;base64,/);
  await close(visit);
  const asked = [];
  visit.page.on('request', (request) => asked.push(request.url()));
  await open(visit, 'drawing.svg', '80 × 40 pixels');
  assert.match(await content(visit).locator('img').getAttribute('src'), /^data:image\/svg\+xml;base64,/);
  assert.ok(!asked.some((url) => url.includes('secret')), asked.join(' '));
  assert.notEqual(await visit.page.title(), 'taken');
  await close(visit);
  await open(visit, 'false.png', 'not an image that this browser can draw');
  assert.equal(await content(visit).locator('img').count(), 0);
  await close(visit);
  await open(visit, 'huge.png', 'too large to show');
  await close(visit);
}

/** A preview has an address: it outlives a reload, and "back" closes it. */
async function byAddress(visit, base) {
  const { page } = visit;
  await open(visit, 'code.py', '51 B.');
  assert.equal(page.url(), `${base}/#/?code.py`);
  await page.goBack();
  await page.locator('#preview').waitFor({ state: 'hidden' });
  await page.goForward();
  await about(visit, '51 B.');
  await page.reload();
  await about(visit, '51 B.');
  await close(visit);
  assert.equal(page.url(), `${base}/#/`);
  const [name, bytes] = await (async () => {
    await open(visit, 'code.py', '51 B.');
    const download = page.waitForEvent('download');
    await page.locator('#preview-download').click();
    const file = await download;
    return [file.suggestedFilename(), await file.path()];
  })();
  assert.equal(name, 'code.py');
  assert.ok(bytes);
  await close(visit);
  await page.goto(`${base}/#/?nowhere.txt`);
  await about(visit, 'does not exist');
  await close(visit);
}

/** Enter opens, Escape closes, and the keyboard is where it was. */
async function byKeyboard(visit) {
  const { page } = visit;
  const link = page.locator('#rows').getByRole('link', { name: 'code.py', exact: true });
  await link.focus();
  await page.keyboard.press('Enter');
  await about(visit, '51 B.');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'preview-content');
  await page.keyboard.press('Escape');
  await page.locator('#preview').waitFor({ state: 'hidden' });
  assert.ok(await link.evaluate((it) => it === document.activeElement));
}

/** Folders one in another, 3.8 kB of path, and a name that turns the direction. */
async function longNames(visit, put, base) {
  const { page } = visit;
  const deep = Array.from({ length: 15 }, (_, at) => `${at}${'x'.repeat(248)}`).join('/');
  const name = encodeURIComponent('\u202Egnp.<script>alert(1)<b>.txt');
  await put(`${deep}/${name}`, 'deep');
  await page.goto(`${base}/#/${deep}`);
  await page.locator('#rows').getByRole('link', { name: '\\u{202e}gnp.<script>' }).click();
  await about(visit, '4 B.');
  await visit.look('preview-long-name');
  await close(visit);
  await visit.look('long-path');
  await page.goto(`${base}/#/`);
  await visit.row('code.py').waitFor();
}
