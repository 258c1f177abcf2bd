// A whole visit with a token: sign in, upload and download a file, folders, sign out.
// Settings: `base`, `token`; the user's workspace is empty, and is left with `many`.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** Hostile names. The second reverses the direction of the text after it. */
const HOSTILE = [
  '<img src=x onerror=alert(1)>.txt',
  'evil\u202Etxt.exe',
  'a "b" % # ? & 日本.md',
  `${'x'.repeat(150)}.log`,
];

export async function withToken(visit, { base, token, out }) {
  const five = { name: 'five.bin', bytes: crypto.randomBytes(5 << 20) };
  five.path = path.join(out, five.name);
  fs.writeFileSync(five.path, five.bytes);
  const put = async (name) => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${base}/files/content/${name}`, { method: 'PUT', body: 'x', headers });
    assert.ok(answer.ok, `${name}: ${answer.status}`);
  };
  await visit.page.goto(base);
  await signIn(visit, token);
  await upload(visit, five);
  await drop(visit);
  await folders(visit, put);
  await visit.look('files');
  await visit.walk();
  await cancel(visit, five);
  await replace(visit, five);
  await remove(visit);
  await manyEntries(visit, put);
  await session(visit);
}

async function signIn(visit, token) {
  const field = visit.page.getByLabel('Access token');
  await field.waitFor();
  assert.ok(await field.evaluate((it) => it === document.activeElement));
  await visit.look('sign-in');
  await visit.walk();
  await visit.signIn('wrong');
  await visit.alert('The token is not accepted');
  await visit.look('sign-in-refused');
  await visit.signIn(token);
  await visit.page.getByRole('heading', { name: 'Sandbox' }).waitFor();
  await visit.page.getByText('Nothing is here yet').waitFor();
  await visit.look('empty');
  const kept = () => [localStorage.length, sessionStorage.length, document.cookie];
  assert.deepEqual(await visit.page.evaluate(kept), [0, 0, '']);
}

/** A session outlives the page, in a cookie that no script sees; after "Sign out" it is gone. */
async function session({ page, context }) {
  const kept = async () => (await context.cookies()).filter(({ name }) => name === '__Host-casemate');
  const [cookie] = await kept();
  assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, 'Lax', '/']);
  await page.reload();
  await page.locator('#rows tr').first().waitFor();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.getByLabel('Access token').waitFor();
  assert.equal(await page.locator('#rows tr').count(), 0);
  for (let left = 50; (await kept()).length > 0; left -= 1) {
    assert.ok(left > 0, 'the session is still in the browser');
    await page.waitForTimeout(100);
  }
  await page.reload();
  await page.getByLabel('Access token').waitFor();
}

async function upload(visit, { path, bytes }) {
  await visit.choose(path);
  await visit.row('five.bin').filter({ hasText: '5.0 MiB' }).waitFor();
  const [name, got] = await visit.download('five.bin');
  assert.equal(name, 'five.bin');
  assert.ok(got.equals(bytes), 'byte for byte');
}

async function drop(visit) {
  await visit.page.evaluate((names) => {
    const dataTransfer = new DataTransfer();
    for (const name of names) dataTransfer.items.add(new File([`content of ${name}`], name));
    for (const type of ['dragover', 'drop']) {
      document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }
  }, HOSTILE);
  await visit.row('xxxx').waitFor();
  assert.equal(await visit.page.locator('#rows img').count(), 0);
  await visit.row('evil\\u{202e}txt.exe').waitFor();
  const [, text] = await visit.download(HOSTILE[2]);
  assert.equal(text.toString(), `content of ${HOSTILE[2]}`);
}

/** Forward by links, back by the browser; a folder is downloaded as an archive. */
async function folders(visit, put) {
  await put('docs/in%20it/note.txt');
  await visit.button('Refresh').click();
  await visit.page.getByRole('link', { name: 'docs' }).click();
  await visit.page.getByRole('link', { name: 'in it' }).click();
  await visit.row('note.txt').waitFor();
  await visit.page.goBack();
  await visit.page.goBack();
  await visit.row('five.bin').waitFor();
  await archive(visit);
  await namedInBytes(visit, put);
}

/** A folder whose name is not text can be opened, and so can one inside it. */
async function namedInBytes(visit, put) {
  await put('caf%E9/in%20it/note.txt');
  await visit.button('Refresh').click();
  await visit.page.getByRole('link', { name: "$'caf\\xe9'" }).click();
  await visit.page.getByRole('link', { name: 'in it' }).click();
  await visit.row('note.txt').waitFor();
  assert.ok(visit.page.url().endsWith('#/caf%E9/in%20it'));
  const crumbs = visit.page.locator('#crumbs');
  await crumbs.getByRole('link', { name: "$'caf\\xe9'" }).click();
  await visit.row('in it').waitFor();
  await crumbs.getByRole('link', { name: 'workspace' }).click();
  await visit.row('five.bin').waitFor();
}

/** A folder is written to disk as it arrives, where the person chooses: here the browser's private files. */
async function archive(visit) {
  await visit.page.evaluate(() => {
    window.showSaveFilePicker = async ({ suggestedName }) =>
      (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true });
  });
  await visit.button('Download docs').click();
  await visit.page.getByText('Downloaded docs.tar.').waitFor();
  const tar = await visit.page.evaluate(async () => {
    const file = await (await navigator.storage.getDirectory()).getFileHandle('docs.tar');
    return (await file.getFile()).text();
  });
  assert.ok(tar.includes('in it/note.txt'));
}

/** A slow transfer is shown, and can be cancelled. */
async function cancel(visit, { path }) {
  const network = await visit.context.newCDPSession(visit.page);
  const throttle = (uploadThroughput) => network.send('Network.emulateNetworkConditions',
    { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  await network.send('Network.enable');
  await throttle(200_000);
  fs.copyFileSync(path, `${path}.slow`);
  await visit.choose(`${path}.slow`, path);
  await visit.page.getByText('1 more file waits.').waitFor();
  await visit.page.getByText('of 5.0 MiB').waitFor();
  await visit.look('transfer');
  await throttle(-1);
  await visit.button('Cancel Uploading five.bin.slow').focus();
  await visit.page.keyboard.press('Enter');
  await visit.page.getByText('already exists. Replace it?').waitFor();
  await visit.page.keyboard.press('Escape');
  assert.equal(await visit.row('five.bin.slow').count(), 0);
}

/** The page asks, then replaces the file. */
async function replace(visit, { path }) {
  fs.writeFileSync(path, 'shorter');
  await visit.choose(path);
  await visit.page.getByText('already exists. Replace it?').waitFor();
  await visit.button('Replace').click();
  await visit.row('five.bin').filter({ hasText: '7 B' }).waitFor();
}

/** With only the keyboard: Enter alone does not delete. */
async function remove(visit) {
  const focused = () => visit.page.evaluate(() => document.activeElement.ariaLabel ?? document.activeElement.textContent);
  const question = visit.page.getByText('This cannot be undone');
  await visit.button('Delete five.bin').focus();
  await visit.page.keyboard.press('Enter');
  await question.waitFor();
  await visit.look('ask');
  assert.equal(await focused(), 'Cancel');
  await visit.page.keyboard.press('Enter');
  await question.waitFor({ state: 'hidden' });
  await visit.row('five.bin').waitFor();
  assert.equal(await focused(), 'Delete five.bin');
  await visit.page.keyboard.press('Enter');
  await question.waitFor();
  assert.equal(await focused(), 'Cancel');
  await visit.page.keyboard.press('Tab');
  assert.equal(await focused(), 'Delete');
  await visit.page.keyboard.press('Enter');
  await visit.row('five.bin').waitFor({ state: 'detached' });
  await visit.button('Delete docs').click();
  await visit.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await visit.row('docs').waitFor({ state: 'detached' });
}

/** A page of a listing has 1,000 entries. */
async function manyEntries(visit, put) {
  for (let from = 0; from < 1005; from += 15) {
    await Promise.all(Array.from({ length: 15 }, (_, at) => put(`many/${String(from + at).padStart(4, '0')}`)));
  }
  await visit.page.getByRole('link', { name: 'workspace' }).click();
  await visit.button('Refresh').click();
  await visit.page.getByRole('link', { name: 'many' }).click();
  await visit.page.getByText('1–1000 of 1005').waitFor();
  await visit.button('Next').click();
  await visit.page.getByText('1001–1005 of 1005').waitFor();
  await visit.button('Previous').click();
  await visit.page.getByText('1–1000 of 1005').waitFor();
}
