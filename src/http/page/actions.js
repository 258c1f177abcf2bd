// What a person does with a folder and the entries in it.

import { post, request } from './api.js';
import { agree, askName } from './dialogs.js';
import { $, say } from './dom.js';
import { download } from './download.js';
import { folder, list } from './listing.js';
import { session } from './session.js';
import { share } from './share.js';
import { argument, below, join, quoted, spelled, split, visible } from './text.js';

/** What is wrong with a name; a slash would make it one elsewhere. */
const problem = (name) => {
  if (['', '.', '..'].includes(name)) return 'That is not a name.';
  return name.includes('/') ? 'A name has no slash.' : null;
};

/** Shows the folder as it is now, with the keyboard on this entry. */
async function show(name) {
  await list();
  const links = [...$('rows').querySelectorAll('.name a')];
  (links.find((link) => link.textContent === visible(name)) ?? $('files-title')).focus();
}

async function rename(entry, path) {
  const name = await askName(`Rename ${quoted(entry.filename)}`, 'Rename', entry.filename);
  if (name === null || name === entry.filename) return;
  const what = `${quoted(entry.filename)} was not renamed.`;
  if (problem(name)) return session.fail(new Error(problem(name)), what);
  try {
    const to = join(split(path)[0], name);
    await post('/files/move', { from: argument(path), to: argument(to) });
    await show(name);
    say(`Renamed to ${visible(name)}.`);
  } catch (error) {
    session.fail(error, what);
  }
}

async function makeFolder() {
  const into = folder();
  const name = await askName('New folder', 'Create');
  if (name === null) return;
  const what = 'The folder was not created.';
  if (problem(name)) return session.fail(new Error(problem(name)), what);
  try {
    await post('/files/folder', { path: argument(join(into, name)) });
    await show(name);
    say(`Created the folder ${visible(name)}.`);
  } catch (error) {
    session.fail(error, what);
  }
}

async function remove(entry) {
  const name = quoted(entry.filename);
  const what = entry.is_dir ? `the folder ${name} and everything in it` : name;
  if (!(await agree(`Delete ${what}? This cannot be undone.`, 'Delete'))) return;
  try {
    await request(entry.url + (entry.is_dir ? '?recursive=true' : ''), { method: 'DELETE' });
    await list();
    say(`Deleted ${visible(entry.filename)}.`);
    $('files-title').focus();
  } catch (error) {
    session.fail(error, `${name} was not deleted.`);
  }
}

const acts = { download: (entry) => download(entry.url, entry), rename, share, delete: remove };
$('rows').addEventListener('act', ({ detail: { kind, entry, path } }) => acts[kind](entry, path));
$('new-folder').addEventListener('click', makeFolder);
$('all').addEventListener('click', () =>
  download(below('download', folder()), { filename: spelled(folder()).split('/').pop() || 'workspace', is_dir: true }));
