// Drives the page at / in a browser: the test in tests/integration/http_page/browser.rs
// runs it, and so can you, with `make test`'s tools (scripts/setup-tests) and a server:
//
//     node tests/page/drive.mjs SCENARIO '{"base": "http://127.0.0.1:8080", ...}'
//
// SCENARIO is one of those below; each says what settings it takes. All take `tools`
// (where scripts/setup-tests put them), `profile` (an empty directory for the browser's
// data) and `out` (a directory for the screenshots, for people to look at).

import fs from 'node:fs';

import { Visit } from './visit.mjs';
import { atIssuer } from './at-issuer.mjs';
import { changes } from './changes.mjs';
import { commands } from './commands.mjs';
import { console_ } from './console.mjs';
import { contents } from './contents.mjs';
import { picture } from './picture.mjs';
import { preview, previewFrame, previewLate, previewPrivate, previewServer, previewSite } from './preview.mjs';
import { refusals } from './refusals.mjs';
import { sharing } from './sharing.mjs';
import { unready } from './unready.mjs';
import { withToken } from './with-token.mjs';
import { withoutToken } from './without-token.mjs';
import { workspaces } from './workspaces.mjs';

const scenarios = {
  'at-issuer': atIssuer,
  changes,
  commands,
  console: console_,
  contents,
  picture,
  preview,
  'preview-frame': previewFrame,
  'preview-late': previewLate,
  'preview-private': previewPrivate,
  'preview-server': previewServer,
  'preview-site': previewSite,
  refusals,
  sharing,
  unready,
  'with-token': withToken,
  'without-token': withoutToken,
  workspaces,
};

const [name, text] = process.argv.slice(2);
const settings = JSON.parse(text);
fs.mkdirSync(settings.out, { recursive: true });
const visit = await Visit.begin(settings);
try {
  await scenarios[name](visit, settings);
  visit.checkTrouble();
} catch (error) {
  await visit.page.screenshot({ path: `${settings.out}/failed-${name}.png` }).catch(() => {});
  console.error(`${name}: ${error.stack}\nthe page then: ${settings.out}/failed-${name}.png`);
  process.exitCode = 1;
} finally {
  await visit.end();
}
