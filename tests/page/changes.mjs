// Changing a folder: its order, new folders, other names, folders and archives that are uploaded.
// Settings: `base`, `token`; the user's workspace is empty.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { requests } from './requests.mjs';

export async function changes(visit, { base, token, out }) {
  const { page } = visit;
  const api = requests(base, token);
  await page.goto(base);
  await visit.signIn(token);
  await page.getByRole('heading', { name: 'Nothing is here yet' }).waitFor();
  await visit.look('welcome');
  await newFolder(visit, api);
  await rename(visit, api);
  await order(visit, api);
  const tree = makeTree(out);
  await uploadFolder(visit, api, tree);
  await dropFolder(visit, api);
  await unpack(visit, api, tree, out);
}

const names = (visit) => visit.page.locator('#rows .name a').allTextContents();

/** With the keyboard alone. */
async function newFolder(visit, api) {
  const { page } = visit;
  await visit.button('New folder').focus();
  await page.keyboard.press('Enter');
  await page.locator('#name').waitFor();
  await visit.look('new-folder');
  await page.keyboard.type('reports');
  await page.keyboard.press('Enter');
  await visit.row('reports').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'reports');
  assert.deepEqual(await api.list(''), ['reports']);
  for (const [name, why] of [['a/b', 'A name has no slash.'], ['..', 'That is not a name.'], ['reports', 'already exists']]) {
    await visit.button('New folder').click();
    await page.locator('#name').fill(name);
    await page.keyboard.press('Enter');
    await visit.alert(why);
  }
  await visit.button('New folder').click();
  await page.keyboard.type('never');
  await page.keyboard.press('Escape');
  await page.locator('#name-dialog').waitFor({ state: 'hidden' });
  assert.deepEqual(await api.list(''), ['reports']);
}

async function rename(visit, api) {
  const { page } = visit;
  await api.put('reports/draft.md', 'text');
  await api.put('reports/caf%E9.txt', 'bytes');
  await page.getByRole('link', { name: 'reports', exact: true }).click();
  await visit.row('draft.md').waitFor();
  assert.match(await page.title(), /^reports – /);
  await visit.button('Rename draft.md').focus();
  await page.keyboard.press('Enter');
  // The part before the dot is selected.
  await page.keyboard.type('"final" & <b>');
  await page.keyboard.press('Enter');
  await visit.row('"final" & <b>.md').waitFor();
  assert.equal(await api.text(`reports/${encodeURIComponent('"final" & <b>.md')}`), 'text');
  // A name that is not text.
  await visit.button("Rename $'caf\\xe9.txt'").click();
  await page.locator('#name').fill('cafe.txt');
  await page.keyboard.press('Enter');
  await visit.row('cafe.txt').waitFor();
  await visit.button('Rename cafe.txt').click();
  await page.locator('#name').fill('"final" & <b>.md');
  await page.keyboard.press('Enter');
  await visit.alert('already');
  await visit.button('Dismiss').click();
  await page.locator('#crumbs').getByRole('link', { name: 'workspace' }).click();
  await visit.row('reports').waitFor();
}

/** Folders first; each column both ways; what is typed. */
async function order(visit, api) {
  const { page } = visit;
  for (const [name, bytes] of [['page 10.txt', 3], ['page 9.txt', 200], ['Alpha.bin', 10_000]]) await api.put(encodeURIComponent(name), 'x'.repeat(bytes));
  await api.put('zeta/file', 'x');
  await visit.button('Refresh').click();
  await visit.row('zeta').waitFor();
  assert.deepEqual(await names(visit), ['reports', 'zeta', 'Alpha.bin', 'page 9.txt', 'page 10.txt']);
  const sorted = async () => (await page.locator('#entries th[data-by]').evaluateAll((all) => all.map((one) => one.ariaSort))).join(' ');
  assert.equal(await sorted(), 'ascending none none');
  await visit.button('Size').click();
  assert.equal(await sorted(), 'none descending none');
  assert.deepEqual((await names(visit)).slice(2), ['Alpha.bin', 'page 9.txt', 'page 10.txt']);
  await visit.button('Size').click();
  assert.deepEqual((await names(visit)).slice(2), ['page 10.txt', 'page 9.txt', 'Alpha.bin']);
  await visit.button('Name').focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  assert.equal(await sorted(), 'descending none none');
  assert.deepEqual(await names(visit), ['zeta', 'reports', 'page 10.txt', 'page 9.txt', 'Alpha.bin']);
  await visit.button('Name').click();
  await page.getByLabel('Filter by name').fill('PAGE');
  await visit.row('zeta').waitFor({ state: 'detached' });
  assert.deepEqual(await names(visit), ['page 9.txt', 'page 10.txt']);
  await page.getByLabel('Filter by name').fill('<nothing>');
  await page.getByText('No name here has this in it.').waitFor();
  await page.keyboard.press('Escape');
  await visit.row('zeta').waitFor();
  await quiet(visit);
}

/** The buttons of a row are there for the mouse, the keyboard and fingers, and else out of the way. */
async function quiet(visit) {
  const { page } = visit;
  const seen = (name) => visit.button(`Delete ${name}`).evaluate((it) => getComputedStyle(it).opacity);
  await page.mouse.move(2, 2);
  await page.evaluate(() => document.activeElement.blur());
  assert.equal(await seen('Alpha.bin'), '0');
  await visit.row('Alpha.bin').hover();
  assert.equal(await seen('Alpha.bin'), '1');
  await page.mouse.move(2, 2);
  await visit.button('Rename Alpha.bin').focus();
  assert.equal(await seen('Alpha.bin'), '1');
  const touch = await visit.context.newCDPSession(page);
  const mobile = { width: 375, height: 760, deviceScaleFactor: 1, mobile: true };
  await touch.send('Emulation.setTouchEmulationEnabled', { enabled: true });
  await touch.send('Emulation.setDeviceMetricsOverride', mobile);
  assert.ok(await page.evaluate(() => matchMedia('(hover: none)').matches));
  await page.evaluate(() => document.activeElement.blur());
  assert.equal(await seen('Alpha.bin'), '1');
  assert.ok(await page.locator('#hint').isHidden());
  await touch.send('Emulation.setTouchEmulationEnabled', { enabled: false });
  await touch.send('Emulation.clearDeviceMetricsOverride');
}

/** A folder with folders in it. */
function makeTree(out) {
  const tree = path.join(out, 'tree');
  fs.rmSync(tree, { recursive: true, force: true });
  fs.mkdirSync(path.join(tree, 'in it', 'deep'), { recursive: true });
  fs.writeFileSync(path.join(tree, 'top.txt'), 'top');
  fs.writeFileSync(path.join(tree, 'in it', 'deep', 'ü #1.txt'), 'deep');
  return tree;
}

async function chooseFolder(visit, tree) {
  const chooser = visit.page.waitForEvent('filechooser');
  await visit.button('Upload folder').click();
  await (await chooser).setFiles(tree);
}

async function uploadFolder(visit, api, tree) {
  const { page } = visit;
  await chooseFolder(visit, tree);
  await visit.row('tree').waitFor();
  await page.locator('#transfers li').waitFor({ state: 'detached' });
  assert.equal(await api.text(`tree/${encodeURIComponent('in it')}/deep/${encodeURIComponent('ü #1.txt')}`), 'deep');
  // Once more: one answer for all of them.
  fs.writeFileSync(path.join(tree, 'top.txt'), 'newer');
  await chooseFolder(visit, tree);
  await page.getByText('already exists. Replace it?').waitFor();
  await visit.button('Replace all').click();
  await visit.eventually(async () => (await api.text('tree/top.txt')) === 'newer', 'the file is replaced');
}

/** A browser has no other way to drop a folder in a test: the entries are as it makes them. */
async function dropFolder(visit, api) {
  await visit.page.evaluate(() => {
    const file = (name, text) => ({ name, isDirectory: false, file: (done) => done(new File([text], name)) });
    const folder = (name, ...entries) => ({
      name,
      isDirectory: true,
      createReader: () => ({ readEntries: (done) => done(entries.splice(0, 1)) }),
    });
    const entry = folder('dropped', file('a.txt', 'a'), folder('below', file('b.txt', 'b')));
    const item = { kind: 'file', webkitGetAsEntry: () => entry, getAsFile: () => null };
    const event = new Event('drop', { bubbles: true, cancelable: true });
    event.dataTransfer = { types: ['Files'], items: [item] };
    document.body.dispatchEvent(event);
  });
  await visit.eventually(async () => (await api.text('dropped/below/b.txt')) === 'b', 'the dropped file is there');
  assert.equal(await api.text('dropped/a.txt'), 'a');
}

async function unpack(visit, api, tree, out) {
  const { page } = visit;
  const packed = path.join(out, 'packed.tar.gz');
  execFileSync('tar', ['-C', tree, '-czf', packed, '.']);
  await visit.choose(packed);
  await page.getByText('is an archive.').waitFor();
  await visit.look('archive');
  await visit.button('Unpack it').click();
  await visit.row('packed').waitFor();
  await visit.eventually(async () => (await api.text('packed/top.txt')) === 'newer', 'it is unpacked');
  await visit.choose(packed);
  await visit.button('Unpack it').click();
  await page.getByText('is there already. Unpack into it?').waitFor();
  await page.keyboard.press('Escape');
  await visit.choose(packed);
  await visit.button('Keep it as a file').click();
  await visit.row('packed.tar.gz').waitFor();
  const broken = path.join(out, 'broken.tgz');
  fs.writeFileSync(broken, 'not gzip');
  await visit.choose(broken);
  await visit.button('Unpack it').click();
  await visit.alert('It cannot be decompressed');
}
