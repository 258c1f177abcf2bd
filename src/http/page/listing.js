// The folder that the address names: its entries, page by page, and what can be done
// with each.

import { data, request } from './api.js';
import { $, agree, button, icon, make, named, say } from './dom.js';
import { download } from './download.js';
import { session } from './session.js';
import { below, folderOf, instant, linkTo, pathOf, quoted, size, spelled, visible } from './text.js';

/** Its path, escaped. */
let here = '';
/** The pages up to this one: where each begins, and how many entries are before it. */
let pages = [{ cursor: '', before: 0 }];
/** Where the page after this one begins; null after the last. */
let next = null;
/** What was asked for what is shown. */
let shown = null;
/** Counts listings: the answer to an old question is not shown. */
let asked = 0;

/** The folder that is shown. */
export const folder = () => here;

/** Shows the folder that the address names, from its first page. */
async function open() {
  here = folderOf(location.hash);
  pages = [{ cursor: '', before: 0 }];
  await list();
}

/** Shows the page again, as it is now. */
export async function list() {
  const question = (asked += 1);
  const query = `path=${here}&${new URLSearchParams({ cursor: pages.at(-1).cursor })}`;
  $('drop').ariaBusy = 'true';
  try {
    const page = await data(`/files/list?${query}`);
    if (question !== asked) return;
    show(page);
    shown = query;
  } catch (error) {
    if (question !== asked) return;
    // Without an answer it is still the best that is known.
    if (error.status !== 0 || shown !== query) showNothing();
    session.fail(error);
  } finally {
    if (question === asked) $('drop').ariaBusy = 'false';
  }
}

function show(page) {
  showCrumbs();
  replaceRows(page.files.map(row));
  $('entries').hidden = page.files.length === 0;
  $('empty').hidden = page.files.length > 0;
  $('empty').textContent = 'This folder is empty.';
  next = page.next_cursor;
  $('pages').hidden = !next && pages.length === 1;
  $('previous').disabled = pages.length === 1;
  $('next').disabled = !next;
  const total = page.total ?? 'many';
  const { before } = pages.at(-1);
  $('page').textContent = `${before + 1}–${before + page.files.length} of ${total}`;
  say(`${total} ${total === 1 ? 'entry' : 'entries'} in ${visible(spelled(here)) || 'the workspace'}.`);
}

function showNothing() {
  show({ files: [], total: 0, next_cursor: null });
  $('empty').textContent = 'This folder cannot be shown.';
  shown = null;
}

function showCrumbs() {
  const names = here ? here.split('/') : [];
  const links = ['workspace', ...names].map((name, at) =>
    make('a', { href: linkTo(names.slice(0, at).join('/')) }, named(at ? spelled(name) : name)));
  links.at(-1).ariaCurrent = 'page';
  $('crumbs').replaceChildren(...links.map((link) => make('li', {}, link)));
}

/** A list that comes anew leaves the keyboard where it was. */
function replaceRows(rows) {
  const before = document.activeElement;
  const held = $('rows').contains(before);
  $('rows').replaceChildren(...rows);
  if (!held) return;
  const controls = [...$('rows').querySelectorAll('a, button')];
  const same = controls.find((one) => one.ariaLabel === before.ariaLabel && one.textContent === before.textContent);
  (same ?? $('files-title')).focus();
}

function row(entry) {
  const name = named(entry.filename);
  const [day, time] = instant(entry.modified);
  return make('tr', {},
    make('td', { className: 'name' },
      icon(entry.is_dir ? 'folder' : 'file'),
      entry.is_dir ? make('a', { href: linkTo(pathOf(entry)) }, name) : name),
    make('td', { className: 'number' }, entry.is_dir ? '' : size(entry.size)),
    make('td', { className: 'date' }, day, make('span', {}, ` ${time}`)),
    make('td', { className: 'actions' },
      button('Download', entry.filename, () => download(entry.url, entry)),
      button('Delete', entry.filename, () => remove(entry))));
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

/** Another page or folder: the eye and the keyboard begin at its top. */
async function turn(to) {
  await to();
  scrollTo({ top: 0 });
  $('files-title').focus();
}

$('next').addEventListener('click', () => {
  pages.push({ cursor: next, before: pages.at(-1).before + $('rows').children.length });
  turn(list);
});
$('previous').addEventListener('click', () => {
  pages.pop();
  turn(list);
});
$('refresh').addEventListener('click', list);
$('all').addEventListener('click', () =>
  download(below('download', here), { filename: spelled(here).split('/').pop() || 'workspace', is_dir: true }));
addEventListener('hashchange', () => { if (session.status) turn(open); });

session.addEventListener('enter', open);
session.addEventListener('back', list);
session.addEventListener('leave', () => {
  asked += 1;
  shown = null;
  for (const id of ['rows', 'crumbs']) $(id).replaceChildren();
  $('entries').hidden = true;
  $('pages').hidden = true;
  $('empty').hidden = false;
  $('empty').textContent = 'Opening the workspace…';
});
