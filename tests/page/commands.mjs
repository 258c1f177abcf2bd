// The commands: those that run, a way to end one, and what was run.
// Settings: `base`, `token`, and `other`, the token of another user; the workspaces are empty.

import assert from 'node:assert/strict';

import { requests } from './requests.mjs';

/** A command whose text would be HTML, turn the direction, and is 10 kB long. */
const HOSTILE = [
  "echo '<img src=x onerror=alert(1)>' # <script>document.title = 'taken'</script>",
  'echo \u202Eterces # \u2066\u0007',
  `: ${'x'.repeat(10_000)}`,
];

export async function commands(visit, { base, token, other }) {
  const { page } = visit;
  const api = requests(base, token);
  await page.goto(base);
  await visit.signIn(token);
  await page.getByText('None is running.').waitFor();
  await live(visit, api);
  await stop(visit);
  await hostile(visit, api);
  await workspaces(visit, api, base);
  await hidden(visit, base);
  await visit.walk();
  await visit.button('Sign out').click();
  await page.getByLabel('Access token').waitFor();
  assert.equal(await page.locator('.commands li').count(), 0);
  await visit.signIn(other);
  await page.getByText('None is running.').waitFor();
  assert.ok(await page.locator('#log-part').isHidden());
}

const line = (visit, list, text) => visit.page.locator(`#${list} li`).filter({ hasText: text });

/** What is run appears by itself, and so do the files that it makes. */
async function live(visit, api) {
  const { page } = visit;
  await api.run('echo 1 > made.txt');
  await line(visit, 'log', 'echo 1 > made.txt').waitFor();
  await visit.row('made.txt').waitFor();
  await api.run('exit 3');
  await line(visit, 'log', 'exit 3').filter({ hasText: 'exit code 3' }).waitFor();
  await api.run('cd /tmp\nsleep 600 # second line', { wait_seconds: 0 });
  const running = line(visit, 'commands', 'cd /tmp').filter({ hasText: 'running' });
  await running.waitFor();
  await running.locator('summary').focus();
  await page.keyboard.press('Enter');
  await running.locator('pre').filter({ hasText: 'sleep 600 # second line' }).waitFor();
  await visit.look('commands');
}

/** With the keyboard alone; its text stays open while the list comes anew. */
async function stop(visit) {
  const { page } = visit;
  await visit.button('Stop cd /tmp').focus();
  await page.keyboard.press('Enter');
  await page.getByText('Stop this command').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await line(visit, 'log', 'cd /tmp').filter({ hasText: 'stopped' }).waitFor();
  assert.ok(await line(visit, 'log', 'cd /tmp').locator('pre').isVisible());
  await page.getByText('None is running.').waitFor();
}

async function hostile(visit, api) {
  const { page } = visit;
  for (const command of HOSTILE) await api.run(command);
  await line(visit, 'log', '<img src=x onerror=alert(1)>').waitFor();
  await line(visit, 'log', 'echo \\u{202e}terces').waitFor();
  const long = line(visit, 'log', ': xxx');
  await long.locator('summary').click();
  await long.getByText('The beginning of 9.8 KiB.').waitFor();
  await visit.look('commands-hostile');
  assert.equal(await page.locator('.commands img, .commands script').count(), 0);
  assert.notEqual(await page.title(), 'taken');
  for (let nth = 0; nth < 10; nth += 1) await api.run(`true ${nth}`);
  await visit.button('Show all 16').click();
  await line(visit, 'log', 'echo 1 > made.txt').waitFor();
}

/** Each workspace has its own, also one whose name is hostile. */
async function workspaces(visit, api, base) {
  const { page } = visit;
  const name = '<b>\u202Eeman</b>';
  const bytes = String.fromCharCode(...new TextEncoder().encode(name));
  await api.run('echo elsewhere', {}, { 'x-casemate-workspace': bytes });
  await visit.button('Refresh').click();
  const chosen = page.locator('#workspace-name');
  await chosen.waitFor();
  await chosen.selectOption(name);
  await line(visit, 'log', 'echo elsewhere').waitFor();
  assert.equal(await line(visit, 'log', 'exit 3').count(), 0);
  await visit.look('workspace-hostile');
  await chosen.selectOption('');
  await line(visit, 'log', 'true 9').waitFor();
  assert.equal(await line(visit, 'log', 'echo elsewhere').count(), 0);
  assert.equal(new URL(page.url()).origin, base);
}

/** A tab that nobody sees asks for nothing; one that is seen again asks at once. Its clock is the test's. */
async function hidden(visit, base) {
  const tab = await visit.context.newPage();
  const asked = [];
  tab.on('request', (request) => asked.push(new URL(request.url()).pathname));
  const has = (path) => visit.eventually(() => asked.includes(path), path);
  const show = (isHidden) => tab.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await tab.clock.install();
  await tab.goto(base);
  await tab.locator('#log li').first().waitFor();
  // As long as it is seen, it asks.
  asked.length = 0;
  await tab.clock.runFor(6000);
  await has('/commands');
  await show(true);
  asked.length = 0;
  await tab.clock.runFor(60_000);
  await tab.evaluate(() => fetch('/healthz').then(() => {}));
  assert.deepEqual(asked, ['/healthz']);
  await show(false);
  await has('/commands');
  await tab.close();
}
