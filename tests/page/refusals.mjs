// What the page shows when a request is refused or not answered.
// Settings: `base`; `token`, `toolsOnly` and `delegate`, all in the file `tokens`, each
// with its text as its name; `pid`, the server's, which is killed in the end. The limit
// of an upload is 1 MiB.

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';

export async function refusals(visit, settings) {
  const { page } = visit;
  await page.goto(settings.base);
  await page.getByLabel('Access token').waitFor();
  await visit.signIn(settings.toolsOnly);
  await visit.alert('This token may not see files.');
  await visit.signIn(settings.delegate);
  await visit.alert('This token is an application’s');
  await visit.signIn(settings.token);
  await page.getByText('Nothing is here yet').waitFor();
  await tooLarge(visit, settings);
  await withdrawn(visit, settings);
  await offline(visit, settings);
  process.kill(settings.pid, 'SIGKILL');
  await visit.alert('The server cannot be reached.');
}

function fileOf(out, name, bytes) {
  const file = path.join(out, name);
  fs.writeFileSync(file, Buffer.alloc(bytes, 'x'));
  return file;
}

async function tooLarge(visit, { out }) {
  await visit.choose(fileOf(out, 'large.bin', 2 << 20));
  await visit.alert('was not uploaded. It has 2.0 MiB; an upload may have 1.0 MiB.');
  await visit.look('refused');
  await visit.button('Dismiss').click();
  await visit.page.getByRole('alert').waitFor({ state: 'hidden' });
}

/** The token is revoked while the page is open; with a valid one the page goes on. */
async function withdrawn(visit, { base, out, token, tokens }) {
  const headers = { authorization: `Bearer ${token}` };
  await fetch(`${base}/files/content/docs/note.txt`, { method: 'PUT', body: 'x', headers });
  await visit.page.goto(`${base}/#/docs`);
  await visit.row('note.txt').waitFor();
  const all = fs.readFileSync(tokens, 'utf8');
  const others = all.split(/^(?=\[\[tokens\]\])/m).filter((table) => !table.includes(`"${token}"`));
  fs.writeFileSync(tokens, others.join(''));
  await visit.choose(fileOf(out, 'late.txt', 10));
  await visit.alert('Your session has ended. Sign in again');
  await visit.look('withdrawn');
  fs.writeFileSync(tokens, all);
  // The server looks at the file once a second.
  while (!(await fetch(`${base}/status`, { headers })).ok) await setTimeout(100);
  await visit.signIn(token);
  await visit.row('note.txt').waitFor();
}

async function offline(visit, { out }) {
  await visit.context.setOffline(true);
  await visit.choose(fileOf(out, 'never.txt', 10));
  await visit.alert('was not uploaded. The connection broke');
  await visit.alert('This page tries again every few seconds.');
  await visit.row('note.txt').waitFor();
  await visit.look('lost');
  await visit.context.setOffline(false);
  await visit.page.locator('#lost').waitFor({ state: 'hidden' });
  await visit.button('Dismiss').click();
}
