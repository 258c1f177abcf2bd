// A person signs in at the issuer of OpenID Connect, and out again.
// Settings: `base`, on another site than the issuer, where "alice" signs in without being asked.

import assert from 'node:assert/strict';

export async function atIssuer(visit, { base }) {
  const { page, context } = visit;
  const link = page.getByRole('link', { name: 'Sign in with your account' });
  const cookies = async () => (await context.cookies()).map(({ name }) => name);
  await page.goto(base);
  await link.waitFor();
  assert.ok(await link.evaluate((it) => it === document.activeElement));
  assert.equal(await page.getByLabel('Access token').isVisible(), false);
  await visit.look('sign-in-issuer');
  await visit.walk();
  await link.click();
  await page.getByText('Nothing is here yet').waitFor();
  assert.equal(page.url(), `${base}/`);
  assert.equal(await page.locator('#user').textContent(), 'alice');
  assert.deepEqual(await cookies(), ['__Host-casemate']);
  assert.equal(visit.hosts.size, 2, 'the page and the issuer');
  visit.hosts.clear();
  await page.reload();
  await visit.button('Sign out').click();
  await link.waitFor();
  for (let left = 50; (await cookies()).length > 0; left -= 1) {
    assert.ok(left > 0, 'the session is still in the browser');
    await page.waitForTimeout(100);
  }
  await page.reload();
  await link.waitFor();
}
