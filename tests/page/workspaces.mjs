// A user of several workspaces chooses one on the page. Settings: `base`; there is `own.txt` in the
// user's own workspace and `chat.txt` in the one with the name "chat".

import assert from 'node:assert/strict';
import path from 'node:path';
import fs from 'node:fs';

export async function workspaces(visit, { base, out }) {
  const { page } = visit;
  const choice = page.locator('#workspace-name');
  const shows = async (present, absent) => {
    await visit.row(present).waitFor();
    await visit.row(absent).waitFor({ state: 'detached' });
  };
  await page.goto(base);
  await shows('own.txt', 'chat.txt');
  assert.deepEqual(await choice.locator('option').allTextContents(), ['your own', 'chat']);
  assert.equal(await choice.inputValue(), '');
  await choice.selectOption('chat');
  await shows('chat.txt', 'own.txt');
  await visit.look('workspaces');
  const [name, bytes] = await visit.download('chat.txt');
  assert.equal(name, 'chat.txt');
  assert.equal(String(bytes), 'of the chat');
  const file = path.join(out, 'uploaded.txt');
  fs.writeFileSync(file, 'into the chat');
  await visit.choose(file);
  await visit.row('uploaded.txt').waitFor();
  // A refresh stays in it.
  await visit.button('Refresh').click();
  await shows('uploaded.txt', 'own.txt');
  await choice.selectOption('');
  await shows('own.txt', 'uploaded.txt');
  await visit.button('Delete own.txt').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('Nothing is here yet').waitFor();
  await choice.selectOption('chat');
  await shows('chat.txt', 'own.txt');
}
