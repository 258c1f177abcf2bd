// In which order the entries of a folder are shown, and which of them.

import { $ } from './dom.js';

/** Names as people count: `page 9` before `page 10`. */
const names = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

const BY = {
  name: (a, b) => names.compare(a.filename, b.filename) || (a.filename < b.filename ? -1 : 1),
  size: (a, b) => a.size - b.size,
  modified: (a, b) => (a.modified < b.modified ? -1 : Number(a.modified > b.modified)),
};

let column = 'name';
let isDescending = false;
/** Told after each change. */
let changed = () => {};

/** The entries with what is typed in their names, folders first. */
export function ordered(entries) {
  const wanted = $('filter').value.trim().toLowerCase();
  const found = entries.filter(({ filename }) => filename.toLowerCase().includes(wanted));
  const direction = isDescending ? -1 : 1;
  const compare = (a, b) => direction * BY[column](a, b) || BY.name(a, b);
  return found.sort((a, b) => Number(b.is_dir) - Number(a.is_dir) || compare(a, b));
}

/** Whether only some of the entries are shown. */
export const isFiltered = () => $('filter').value.trim() !== '';

/** Shows all of them again. */
export const unfilter = () => { $('filter').value = ''; };

/** Calls this when a person asks for another order, or other names. */
export const onChange = (act) => { changed = act; };

const heads = () => $('entries').querySelectorAll('th[data-by]');

function mark() {
  for (const head of heads()) {
    const isBy = head.dataset.by === column;
    head.ariaSort = isBy ? (isDescending ? 'descending' : 'ascending') : 'none';
  }
}

for (const head of heads()) {
  head.querySelector('button').addEventListener('click', () => {
    const { by } = head.dataset;
    // The largest and the newest are what people look for.
    isDescending = by === column ? !isDescending : by !== 'name';
    column = by;
    mark();
    changed();
  });
}
mark();

let typing;
$('filter').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => changed(), 100);
});
$('filter').addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !isFiltered()) return;
  event.preventDefault();
  unfilter();
  changed();
});
