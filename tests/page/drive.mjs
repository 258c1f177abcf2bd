// Drives the page at / in a browser, by hand, with the keyboard where it matters:
//
//     npm install --no-save playwright-core
//     node tests/page/drive.mjs http://127.0.0.1:8080 TOKEN /path/to/chromium DIRECTORY
//
// The user's workspace must be empty. The screenshots, light and dark, wide and narrow,
// are for looking at, in DIRECTORY.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [base, token, executablePath, out] = process.argv.slice(2);
fs.mkdirSync(out, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
page.setDefaultTimeout(15000);
const trouble = [];
const hosts = new Set();
page.on('console', (m) => { if (m.type() === 'error' && !/status of 4/.test(m.text())) trouble.push(m.text()); });
page.on('pageerror', (e) => trouble.push(String(e)));
page.on('request', (r) => { if (r.url().startsWith('http')) hosts.add(new URL(r.url()).host); });

/** Puts a file beside the page. */
const put = async (name) => {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${base}/files/content/${name}`, { method: 'PUT', body: 'x', headers });
  assert.ok(answer.ok, name);
};

const shots = async (name) => {
  for (const colorScheme of ['light', 'dark']) for (const [kind, width, height] of [['wide', 1280, 800], ['narrow', 375, 760]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height });
    await page.screenshot({ path: path.join(out, `${name}-${colorScheme}-${kind}.png`), fullPage: true });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${name} ${kind}: ${over} px too wide`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 800 });
};

await page.goto(base);
await page.getByLabel('Access token').waitFor();
await shots('sign-in');
await page.getByLabel('Access token').fill('wrong');
await page.keyboard.press('Enter');
await page.getByRole('alert').waitFor();
console.log('wrong token:', await page.getByRole('alert').innerText());
await page.getByLabel('Access token').fill(token);
await page.keyboard.press('Enter');
await page.getByRole('heading', { name: 'Sandbox' }).waitFor();
assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);

const bytes = crypto.randomBytes(5 << 20);
const big = path.join(out, 'five.bin');
fs.writeFileSync(big, bytes);
const chooser = page.waitForEvent('filechooser');
await page.getByRole('button', { name: 'Upload files' }).click();
await (await chooser).setFiles([big]);
await page.getByRole('row', { name: /five\.bin/ }).waitFor();

const hostile = ['<img src=x onerror=alert(1)>.txt', 'evil\u202Etxt.exe', 'a "b" % # ? & 日本.md', 'x'.repeat(150) + '.log'];
await page.evaluate((names) => {
  const data = new DataTransfer();
  for (const name of names) data.items.add(new File(['content of ' + name], name));
  const at = document.querySelector('#drop');
  at.dispatchEvent(new DragEvent('dragover', { dataTransfer: data, bubbles: true, cancelable: true }));
  at.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
}, hostile);
await page.getByRole('row', { name: /xxxx/ }).waitFor();
assert.equal(await page.locator('#rows img').count(), 0);

const fetchDown = async (name) => {
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: `Download ${name}` }).click();
  const file = await download;
  return [file.suggestedFilename(), fs.readFileSync(await file.path())];
};
const [name, got] = await fetchDown('five.bin');
assert.equal(name, 'five.bin');
assert.ok(got.equals(bytes), 'byte for byte');
const [odd, text] = await fetchDown('a "b"');
console.log('odd name saved as', JSON.stringify(odd));
assert.equal(text.toString(), `content of ${hostile[2]}`);

// Folders, forth and back.
await put('docs/in%20it/note.txt');
await page.getByRole('button', { name: 'Refresh' }).click();
await page.getByRole('link', { name: 'docs' }).click();
await page.getByRole('link', { name: 'in it' }).click();
await page.getByRole('row', { name: /note\.txt/ }).waitFor();
await page.goBack();
await page.goBack();
await page.getByRole('row', { name: /five\.bin/ }).waitFor();
await shots('files');

// Again: it asks before it replaces.
const again = page.waitForEvent('filechooser');
await page.getByRole('button', { name: 'Upload files' }).click();
await (await again).setFiles([big]);
await page.getByText('is there already. Replace it?').waitFor();
await page.keyboard.press('Escape');

await page.getByRole('button', { name: 'Delete five.bin' }).focus();
await page.keyboard.press('Enter');
await page.getByText('This cannot be undone').waitFor();
await shots('ask');
assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel');
await page.keyboard.press('Tab');
await page.keyboard.press('Enter');
await page.getByRole('row', { name: /five\.bin/ }).waitFor({ state: 'detached' });
await page.getByRole('button', { name: 'Delete docs' }).click();
await page.locator('#ask').getByRole('button', { name: 'Delete' }).click();
await page.getByRole('row', { name: /docs/ }).waitFor({ state: 'detached' });

// 1,005 entries: two pages.
for (let at = 0; at < 1005; at += 1) await put(`many/${String(at).padStart(4, '0')}`);
await page.evaluate(() => { location.hash = '#/many'; });
await page.getByText('1–1000 of 1005').waitFor();
await page.getByRole('button', { name: 'Next' }).click();
await page.getByText('1001–1005 of 1005').waitFor();
await page.getByRole('button', { name: 'Previous' }).click();
await page.getByText('1–1000 of 1005').waitFor();

await page.getByRole('button', { name: 'Sign out' }).click();
await page.getByLabel('Access token').waitFor();
assert.equal(await page.locator('#rows tr').count(), 0);
assert.deepEqual([...hosts], [new URL(base).host]);
assert.deepEqual(trouble, []);
console.log('all of it works');
await browser.close();
