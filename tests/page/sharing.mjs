// Sharing from the page: a file, its link, a port, and the end.
// Settings: `base`, `token`; the user's workspace is empty.

import assert from 'node:assert/strict';

import { requests } from './requests.mjs';

const NAME = '<b>report<i>.html';

export async function sharing(visit, { base, token }) {
  const { page } = visit;
  const api = requests(base, token);
  await api.put(encodeURIComponent(NAME), '<h1>of ada</h1>');
  await page.goto(base);
  await visit.signIn(token);
  await visit.row('report').waitFor();
  await page.getByText('Nothing is shared.').waitFor();
  const link = await share(visit);
  await again(visit, link);
  await opened(visit, link);
  await port(visit);
  await end(visit);
}

/** With the keyboard alone. */
async function share(visit) {
  const { page } = visit;
  await visit.button(`Share ${NAME}`).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Share' }).first().waitFor();
  await visit.look('share');
  await page.getByLabel('For', { exact: true }).selectOption('a day');
  await visit.page.locator('#share-yes').focus();
  await page.keyboard.press('Enter');
  const field = page.getByRole('textbox', { name: 'Downloads it' });
  await field.waitFor();
  await page.getByText('It opens for you alone').waitFor();
  await visit.look('share-links');
  const link = await field.inputValue();
  assert.match(link, /\/s\//);
  await page.keyboard.press('Escape');
  await page.locator('#shares li').filter({ hasText: NAME }).waitFor();
  return link;
}

async function again(visit, link) {
  const { page } = visit;
  await visit.button(`Link ${NAME}`).click();
  assert.equal(await page.getByRole('textbox', { name: 'Downloads it' }).inputValue(), link);
  const preview = await page.getByRole('textbox', { name: 'Opens in the browser' }).inputValue();
  assert.match(preview, /localhost/);
  await visit.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await visit.button('Copy: Downloads it').click();
  await page.getByText('Copied', { exact: true }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
  await page.locator('#share-close').click();
}

/** It opens in a tab of its own, which knows nothing of this one. */
async function opened(visit, link) {
  const { page, context } = visit;
  await visit.button(`Link ${NAME}`).click();
  const tab = context.waitForEvent('page');
  await page.getByRole('link', { name: 'Open: Opens in the browser' }).click();
  const site = await tab;
  await site.getByRole('heading', { name: 'of ada' }).waitFor();
  assert.equal(await site.evaluate(() => window.opener), null);
  assert.notEqual(new URL(site.url()).origin, new URL(link).origin);
  await site.close();
  await page.keyboard.press('Escape');
}

async function port(visit) {
  const { page } = visit;
  await visit.button('Share a port').click();
  await page.locator('#name').fill('53');
  await page.keyboard.press('Enter');
  await page.locator('#share-yes').click();
  await visit.alert('53');
  await page.keyboard.press('Escape');
  await visit.button('Share a port').click();
  await page.locator('#name').fill('8000');
  await page.keyboard.press('Enter');
  await page.locator('#share-yes').click();
  await page.getByRole('textbox', { name: 'Opens in the browser' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#shares li').filter({ hasText: '8000' }).waitFor();
}

async function end(visit) {
  const { page } = visit;
  await visit.button(`End ${NAME}`).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End' }).click();
  await page.locator('#shares li').filter({ hasText: NAME }).waitFor({ state: 'detached' });
}
