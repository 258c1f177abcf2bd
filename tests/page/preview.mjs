// Previews: applications and sites at host names of their own. Settings: `link`; for a private one
// `base` and `token` too, for a server its `title` and whether it has a WebSocket (`hasSocket`), for a
// frame the pages `allowed` and `other` that have one.

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

/** A server of a framework, which knows nothing of previews. */
export async function previewServer(visit, { link, title, hasSocket }) {
  const { page } = visit;
  const socket = hasSocket ? page.waitForEvent('websocket') : undefined;
  await page.goto(link);
  // The page that waits reloads itself until the application listens.
  await page.locator('#count[data-ready]').filter({ hasText: '0 clicks' }).waitFor();
  assert.equal(await page.title(), title);
  await page.locator('#count').click();
  await page.locator('#count').filter({ hasText: '1 clicks' }).waitFor();
  await page.locator('#count').click();
  await page.locator('#count').filter({ hasText: '2 clicks' }).waitFor();
  if (socket) {
    const opened = await socket;
    assert.equal(new URL(opened.url()).host, new URL(link).host);
    assert.equal(opened.isClosed(), false);
  }
  // Back at the application by its own redirect, under the name that the browser knows.
  assert.equal(page.url(), `${new URL(link).origin}/`);
}

/** The page at `allowed` is of an origin that may show previews in a frame, and `other` is not. */
export async function previewFrame(visit, { link, allowed, other }) {
  const { page } = visit;
  const { origin, host } = new URL(link);
  await page.goto(allowed);
  await page.frameLocator('iframe').getByRole('heading', { name: 'in a frame' }).waitFor();
  const cookies = (await visit.context.cookies(link)).filter(({ name }) => name === '__Host-casemate-preview');
  assert.deepEqual(cookies.map(({ sameSite, secure, httpOnly }) => ({ sameSite, secure, httpOnly })),
    [{ sameSite: 'None', secure: true, httpOnly: true }]);
  // The file at the root again, by the cookie alone.
  await page.goto(`${allowed}?${origin}/`);
  await page.frameLocator('iframe').getByRole('heading', { name: 'in a frame' }).waitFor();

  for (const shown of [link, `${origin}/`]) {
    const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'));
    await page.goto(`${other}?${shown}`);
    await refused;
    assert.equal(await page.frameLocator('iframe').getByRole('heading', { name: 'in a frame' }).count(), 0);
  }
  // What the browser says of the frames that it refused.
  visit.trouble = visit.trouble.filter((text) => !text.includes('frame-ancestors'));
  visit.hosts = new Set([host]);
}
