// The folder that the address names: its entries, page by page.

import { data } from './api.js';
import { $, make, named, say } from './dom.js';
import { isFiltered, onChange, ordered, unfilter } from './order.js';
import { row } from './rows.js';
import { session } from './session.js';
import { folderOf, linkTo, spelled, visible } from './text.js';

/** Its path, escaped. */
let here = '';
/** The entries of the page that is shown, as the server gave them. */
let entries = [];
/** The pages up to this one: where each begins, and how many entries are before it. */
let pages = [{ cursor: '', before: 0 }];
/** Where the page after this one begins; null after the last. */
let next = null;
/** The entries of all pages; null for too many to count. */
let total = 0;
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
  unfilter();
  await list();
}

/** Shows the page again, as it is now. Nobody who did not ask is told. */
export async function list(isQuiet = false) {
  const question = (asked += 1);
  const query = `path=${here}&${new URLSearchParams({ cursor: pages.at(-1).cursor })}`;
  $('drop').ariaBusy = 'true';
  try {
    const page = await data(`/files/list?${query}`);
    if (question !== asked) return;
    show(page, isQuiet);
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

function show(page, isQuiet) {
  showCrumbs();
  entries = page.files;
  next = page.next_cursor;
  total = page.total;
  $('pages').hidden = !next && pages.length === 1;
  $('previous').disabled = pages.length === 1;
  $('next').disabled = !next;
  showRows(isQuiet);
  const isFirst = !here && entries.length === 0;
  $('welcome').hidden = !isFirst;
  $('empty').hidden = isFirst || entries.length > 0;
}

/** The entries of the page in their order, as far as they are looked for. */
function showRows(isQuiet = false) {
  const rows = ordered(entries);
  replaceRows(rows.map(row));
  $('entries').hidden = rows.length === 0;
  $('find').hidden = entries.length < 2 && !isFiltered();
  $('empty').hidden = rows.length > 0;
  $('empty').textContent = isFiltered() ? 'No name here has this in it.' : 'This folder is empty.';
  const { before } = pages.at(-1);
  const all = total ?? 'many';
  // Only a page is known at a time.
  const part = $('pages').hidden ? '' : ' Sorting and the filter cover this page only.';
  $('page').textContent = `${before + 1}–${before + entries.length} of ${all}.${part}`;
  const where = visible(spelled(here)) || 'the workspace';
  const count = isFiltered() ? `${rows.length} of ${entries.length}` : all;
  if (!isQuiet) say(`${count} ${count === 1 ? 'entry' : 'entries'} in ${where}.`);
}

function showNothing() {
  show({ files: [], total: 0, next_cursor: null });
  $('welcome').hidden = true;
  $('empty').hidden = false;
  $('empty').textContent = 'This folder cannot be shown.';
  shown = null;
}

function showCrumbs() {
  const names = here ? here.split('/') : [];
  const links = ['workspace', ...names].map((name, at) =>
    make('a', { href: linkTo(names.slice(0, at).join('/')), title: visible(spelled(name)) }, named(at ? spelled(name) : name)));
  links.at(-1).ariaCurrent = 'page';
  $('crumbs').replaceChildren(...links.map((link) => make('li', {}, link)));
  document.title = `${visible(spelled(names.at(-1) ?? '')) || 'Workspace'} – Casemate`;
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

/** Another page or folder: the eye and the keyboard begin at its top. */
async function turn(to) {
  await to();
  scrollTo({ top: 0 });
  $('files-title').focus();
}

$('next').addEventListener('click', () => {
  pages.push({ cursor: next, before: pages.at(-1).before + entries.length });
  turn(list);
});
$('previous').addEventListener('click', () => {
  pages.pop();
  turn(list);
});
$('refresh').addEventListener('click', () => list());
onChange(() => showRows());
addEventListener('hashchange', () => {
  // A file of the same folder leaves it as it is.
  if (session.status && folderOf(location.hash) !== here) turn(open);
});

session.addEventListener('enter', open);
session.addEventListener('back', () => list());
session.addEventListener('leave', () => {
  asked += 1;
  [entries, shown] = [[], null];
  for (const id of ['rows', 'crumbs']) $(id).replaceChildren();
  for (const id of ['entries', 'pages', 'welcome', 'find']) $(id).hidden = true;
  $('empty').hidden = false;
  $('empty').textContent = 'Opening the workspace…';
  document.title = 'Casemate';
});
