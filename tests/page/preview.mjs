// Previews: applications and sites at host names of their own. Settings: `link`; for a private one
// `base` and `token` too.

import assert from 'node:assert/strict';

/** The ticket is in no address that a server, the history or a page sees. */
async function checkAddress(page, link) {
  const { origin, hash } = new URL(link);
  assert.equal(page.url(), `${origin}/`);
  assert.equal(await page.evaluate(() => location.hash + document.referrer), '');
  assert.ok(hash.length > 40);
}

/** The cookie is of this host alone, and no script sees it. */
async function checkCookie(visit, link) {
  const cookies = await visit.context.cookies(link);
  const ours = cookies.filter(({ name }) => name === '__Host-casemate-preview');
  assert.equal(ours.length, 1, JSON.stringify(cookies));
  const [{ httpOnly, secure, sameSite, domain, path }] = ours;
  assert.deepEqual({ httpOnly, secure, sameSite, path }, { httpOnly: true, secure: true, sameSite: 'Lax', path: '/' });
  assert.equal(domain, new URL(link).hostname);
  assert.equal(await visit.page.evaluate(() => document.cookie), '');
}

export async function preview(visit, { link }) {
  const { page } = visit;
  const sent = [];
  page.on('request', (request) => sent.push([request.url(), request.headers().referer ?? '']));
  await page.goto(link);
  await page.waitForURL(`${new URL(link).origin}/`);
  await checkCookie(visit, link);
  await checkAddress(page, link);
  await page.goto(`${new URL(link).origin}/page`);
  await page.locator('#echo').filter({ hasText: 'hello' }).waitFor();
  await page.locator('#events').filter({ hasText: '01234' }).waitFor();
  await page.getByRole('button').click();
  await page.getByRole('button').filter({ hasText: 'POST' }).waitFor();
  const ticket = new URL(link).hash.slice(1);
  for (const [url, referer] of sent) {
    assert.ok(!referer.includes(ticket), referer);
    assert.ok(!url.split('#')[0].includes(ticket), url);
  }
}

export async function previewLate(visit, { link }) {
  const { page } = visit;
  await page.goto(link);
  await page.getByRole('heading').filter({ hasText: 'Nothing listens on port 5173 yet' }).waitFor();
  // It reloads itself until the application is there.
  await page.getByRole('button', { name: 'Ask' }).waitFor();
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.locator('#said').filter({ hasText: 'answered' }).waitFor();
  await checkAddress(page, link);
}

export async function previewSite(visit, { link }) {
  const { page } = visit;
  await page.goto(link);
  await page.getByRole('heading').filter({ hasText: new URL(link).host }).waitFor();
  await checkAddress(page, link);
  await checkCookie(visit, link);
}

export async function previewPrivate(visit, { link, base, token }) {
  const { page } = visit;
  await page.goto(link);
  // Nobody is signed in: the server's own host says so.
  await page.getByText('This link opens for the user who shared it').waitFor();
  assert.equal(new URL(page.url()).origin, base);
  await page.goto(base);
  await visit.signIn(token);
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  await page.goto(link);
  await page.getByRole('heading', { name: 'of ada' }).waitFor();
  await checkAddress(page, link);
  // Its own host, and the server's.
  assert.deepEqual([...visit.hosts].sort(), [new URL(base).host, new URL(link).host].sort());
  visit.hosts = new Set([new URL(link).host]);
}
