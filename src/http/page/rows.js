// An entry of a folder as a row of the table. What its buttons do is in `actions`.

import { icon, iconButton, make, named } from './dom.js';
import { instant, linkTo, pathOf, size, split } from './text.js';

/** What can be done with an entry: the picture and the words of each. */
const ACTIONS = [['download', 'Download'], ['rename', 'Rename'], ['share', 'Share'], ['delete', 'Delete']];

/** The row of an entry. */
export function row(entry) {
  const path = pathOf(entry);
  const [folder, name] = split(path);
  const link = make('a', { href: entry.is_dir ? linkTo(path) : linkTo(folder, name) }, named(entry.filename));
  const [day, time] = instant(entry.modified);
  return make('tr', { className: entry.is_dir ? 'is-folder' : '' },
    make('td', { className: 'name' }, icon(entry.is_dir ? 'folder' : 'file'), link),
    make('td', { className: 'number' }, entry.is_dir ? '' : size(entry.size)),
    make('td', { className: 'date' }, day, make('span', {}, ` ${time}`)),
    make('td', { className: 'actions' }, ...ACTIONS.map(([kind, text]) =>
      iconButton(kind, text, entry.filename, ({ currentTarget }) => currentTarget.dispatchEvent(
        new CustomEvent('act', { bubbles: true, detail: { kind, entry, path } }))))));
}
