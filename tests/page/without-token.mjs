// Where the server asks for no token, the page shows the workspace at once.
// Settings: `base`; a command runs in the user's sandbox.

import assert from 'node:assert/strict';
import path from 'node:path';
import fs from 'node:fs';

export async function withoutToken(visit, { base, out }) {
  const file = path.join(out, 'report.csv');
  fs.writeFileSync(file, 'a,b\n1,2\n');
  await visit.page.goto(base);
  await visit.page.getByText('Nothing is here yet').waitFor();
  assert.equal(await visit.page.getByLabel('Access token').isVisible(), false);
  assert.equal(await visit.button('Sign out').isVisible(), false);
  await visit.page.locator('#commands li').waitFor();
  await visit.choose(file);
  await visit.row('report.csv').waitFor();
  await visit.look('without-token');
  await visit.walk();
  // The browser itself asks, and streams.
  const [name, bytes] = await visit.download('report.csv');
  assert.equal(name, 'report.csv');
  assert.ok(bytes.equals(fs.readFileSync(file)));
  await visit.button('Delete report.csv').click();
  await visit.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await visit.page.getByText('Nothing is here yet').waitFor();
}
