// One visit to the page: a new browser, and the checks that every scenario makes.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds that anything on the page may take; a sandbox is made within it. */
const PATIENCE = 30_000;
/** Least width and height of a control, in pixels (WCAG 2.2, 2.5.8). */
const TARGET = 24;
const WIDE = { width: 1440, height: 900 };
const SIZES = [['wide', WIDE], ['middle', { width: 768, height: 1024 }], ['narrow', { width: 375, height: 760 }]];

export class Visit {
  static async begin({ tools, profile, out }) {
    const require = createRequire(path.join(tools, 'package.json'));
    const { chromium } = require('playwright-core');
    const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    // The test, and `make test` after it, recognize these processes by the profile's name.
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: fs.readFileSync(path.join(tools, 'browser'), 'utf8').trim(),
      viewport: WIDE,
      locale: 'en-GB',
    });
    return new Visit(context, axe, out);
  }

  constructor(context, axe, out) {
    Object.assign(this, { context, axe, out, page: context.pages()[0], hosts: new Set(), trouble: [] });
    this.page.setDefaultTimeout(PATIENCE);
    this.page.on('pageerror', (error) => this.trouble.push(String(error)));
    this.page.on('console', (message) => {
      // The browser logs each refused request; only what the page does counts.
      const isRefusal = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !isRefusal) this.trouble.push(message.text());
    });
    this.page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol.startsWith('http')) this.hosts.add(host);
    });
  }

  end() {
    return this.context.close();
  }

  /** The page violated no rule of its policy, and sent requests only to its server. */
  checkTrouble() {
    assert.deepEqual(this.trouble, []);
    assert.equal(this.hosts.size, 1, [...this.hosts].join(' '));
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  row(name) {
    return this.page.getByRole('row').filter({ hasText: name });
  }

  async signIn(token) {
    await this.page.getByLabel('Access token').fill(token);
    await this.page.keyboard.press('Enter');
  }

  /** The sentence of an alert that is there now, or soon. */
  async alert(text) {
    await this.page.getByRole('alert').filter({ hasText: text }).waitFor();
  }

  async choose(...files) {
    const chooser = this.page.waitForEvent('filechooser');
    await this.button('Upload files').click();
    await (await chooser).setFiles(files);
  }

  /** The file name of a download, and its bytes. */
  async download(name) {
    const download = this.page.waitForEvent('download');
    await this.button(`Download ${name}`).click();
    const file = await download;
    return [file.suggestedFilename(), fs.readFileSync(await file.path())];
  }

  /** Waits until this holds. */
  async eventually(holds, what) {
    for (const end = Date.now() + PATIENCE; !(await holds());) {
      assert.ok(Date.now() < end, `not in time: ${what}`);
      await sleep(100);
    }
  }

  /** Light and dark, wide, middle and narrow: takes a screenshot, and checks the rules. */
  async look(name) {
    for (const colorScheme of ['light', 'dark']) {
      for (const [kind, size] of SIZES) {
        const picture = `${name}-${colorScheme}-${kind}`;
        await this.page.emulateMedia({ colorScheme });
        await this.page.setViewportSize(size);
        await this.page.screenshot({ path: path.join(this.out, `${picture}.png`), fullPage: true });
        const over = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${picture}: ${over} px too wide`);
        await this.audit(picture);
      }
    }
    await this.page.emulateMedia({ colorScheme: 'light' });
    await this.page.setViewportSize(WIDE);
  }

  /** WCAG 2.2 AA as far as a program can tell, and what axe calls best practice. */
  async audit(what) {
    // Through the debugger: the page's policy allows no other script.
    await this.page.evaluate(`window.axe ?? (() => { ${this.axe} })(); 0`);
    const violations = await this.page.evaluate(async () => {
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
      const found = await window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] });
      return found.violations.map(({ id, help, nodes }) =>
        `${id} (${help}): ${nodes.map((node) => `${node.html} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    });
    assert.deepEqual(violations, [], what);
  }

  /** Tab reaches all that can be used, in the order of the page, and each shows it. */
  async walk() {
    const wanted = await this.page.evaluate(() => {
      const usable = [...document.querySelectorAll('a, button, input, select, summary, [tabindex="0"]')];
      return usable.filter((one) => one.checkVisibility() && !one.disabled).map((one) => one.ariaLabel ?? one.textContent);
    });
    await this.page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
    await this.page.mouse.click(2, 2);
    const reached = [];
    for (const name of wanted) {
      await this.page.keyboard.press('Tab');
      const at = await this.page.evaluate(() => {
        const one = document.activeElement;
        const { width, height } = one.getBoundingClientRect();
        return { name: one.ariaLabel ?? one.textContent, width, height, ring: getComputedStyle(one).outlineStyle };
      });
      assert.equal(at.ring, 'solid', `${name} does not show that it has the keyboard`);
      assert.ok(Math.min(at.width, at.height) >= TARGET, `${name}: ${at.width} by ${at.height} px`);
      reached.push(at.name);
    }
    // A running command says how long it has run.
    const timeless = (names) => names.map((name) => name?.replace(/\d+ (s|min|h)\b/g, '… $1'));
    assert.deepEqual(timeless(reached), timeless(wanted));
  }
}
