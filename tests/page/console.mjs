// The operator's console, with hostile users: their names and commands are shown as text.
// Settings: `base`, the admin address; `token`; `users`, each with one sandbox and one command that
// runs: the first is HTML; `casemate` and `instance`, to end the sandbox of the first.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

export async function console_(visit, { base, token, users, casemate, instance }) {
  const { page } = visit;
  await page.goto(`${base}/console`);
  await page.getByLabel('Admin token').waitFor();
  await visit.look('console-sign-in');
  await signIn(page, 'cm_wrong');
  await visit.alert('This token is not known.');
  await signIn(page, token);
  const rows = page.locator('#sandboxes tr');
  await rows.nth(1).waitFor();
  await page.getByText('sleep 1001').waitFor();
  await page.locator('#workspaces tr').nth(1).waitFor();

  const shown = await page.locator('#console').innerText();
  assert.ok(shown.includes(users[0]), shown);
  assert.ok(shown.includes('\\u{202e}desrever\\u{2066}'), shown);
  assert.ok(!/[\u202e\u2066]/.test(await page.content()), 'a mark of direction is in the page');
  assert.equal(await page.locator('#console img, #console script, #console b').count(), 0);
  assert.equal(await page.evaluate(() => window.hurt), undefined);
  for (const text of await page.locator('#console bdi').allInnerTexts()) {
    assert.ok([...text].length <= 161, `${text.length} characters`);
  }
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.equal(await page.evaluate(() => document.cookie), '');

  await page.getByRole('button', { name: 'Examine' }).click();
  await page.locator('#findings li').first().waitFor();
  await visit.look('console');

  // It lives: a sandbox goes, and its row with it.
  execFileSync(casemate, ['rm', users[0], '--force'], { env: { ...process.env, CASEMATE_INSTANCE: instance } });
  await rows.nth(1).waitFor({ state: 'detached' });
  assert.equal(await rows.count(), 1);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Admin token').waitFor();
  assert.equal(await rows.count(), 0);
  // A reload has forgotten the token.
  await signIn(page, token);
  await rows.first().waitFor();
  await page.reload();
  await page.getByLabel('Admin token').waitFor();
}

async function signIn(page, token) {
  await page.getByLabel('Admin token').fill(token);
  await page.keyboard.press('Enter');
}
