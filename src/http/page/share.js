// Sharing from the page, and the links of what is shared.

import { post } from './api.js';
import { askName } from './dialogs.js';
import { $, complain, make, say } from './dom.js';
import { session } from './session.js';
import { argument, instant, quoted } from './text.js';

/** Seconds that a port may be shared: longer ones are not offered. */
const PORT_LIMIT = 28_800;

/** What is to be shared: the body of the request without its end. */
let wanted = null;

/** Told after each new share. */
let changed = () => {};
export const onShare = (act) => { changed = act; };

/** Asks for how long, then shares an entry. */
export function share(entry, path) {
  wanted = { path: argument(path) };
  open(`Share ${quoted(entry.filename)}`, true);
}

/** Asks for a port, then shares the application that listens there. */
async function sharePort() {
  const text = await askName('Which port does the application listen on?', 'Share');
  if (text === null) return;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    complain('A port is a number from 1 to 65535.');
    return;
  }
  wanted = { port };
  open(`Share port ${quoted(text)}`, true);
}

/** Shows the links of a share that is there. */
export async function showLinks({ id, name, visibility, expires_at: end }) {
  wanted = null;
  try {
    const links = await post(`/shares/${encodeURIComponent(id)}/link`, {});
    open(`Links of ${quoted(name)}`, false);
    show({ expires_at: end, ...links, visibility });
  } catch (error) {
    session.fail(error, `The link of ${quoted(name)} cannot be shown.`);
  }
}

function open(title, isNew) {
  $('share-title').textContent = title;
  $('share-problem').hidden = true;
  $('share-links').replaceChildren();
  $('share-who').textContent = isNew ? 'The link opens what the file is now; after a change, share it again.' : '';
  if (isNew && wanted.port) $('share-who').textContent = 'The link opens the application, until its sandbox ends.';
  for (const id of ['share-time-line', 'share-yes']) $(id).hidden = !isNew;
  for (const time of $('share-time').options) time.hidden = time.disabled = Boolean(wanted?.port) && time.value > PORT_LIMIT;
  $('share-time').selectedIndex = 0;
  if (!$('share-dialog').open) $('share-dialog').showModal();
  (isNew ? $('share-time') : $('share-close')).focus();
}

async function create() {
  $('share-yes').disabled = true;
  $('share-problem').hidden = true;
  try {
    const made = await post('/shares', { ...wanted, expires_in_seconds: Number($('share-time').value) });
    for (const id of ['share-time-line', 'share-yes']) $(id).hidden = true;
    show(made);
    say('It is shared.');
    changed();
  } catch (error) {
    if (error.status === 401) session.fail(error);
    $('share-problem').textContent = error.message;
    $('share-problem').hidden = false;
  } finally {
    $('share-yes').disabled = false;
  }
}

/** The links, and for whom they open. */
function show({ link, preview_link: preview, visibility, expires_at: end }) {
  const links = [[preview, 'Opens in the browser'], [link, 'Downloads it']].filter(([address]) => address);
  $('share-links').replaceChildren(...links.flatMap(([address, what], at) => line(address, what, `share-link-${at}`)));
  const who = visibility === 'link' ? 'everyone who has it' : 'you alone, where you are signed in';
  $('share-who').textContent = links.length > 0
    ? `It opens for ${who}, until ${instant(end).join(', ')}.`
    : 'This server makes no links. It is shared with clients of MCP.';
  ($('share-links').querySelector('input') ?? $('share-close')).focus();
}

function line(address, what, id) {
  const field = make('input', { id, type: 'text', readOnly: true, value: address });
  field.addEventListener('focus', () => field.select());
  const copy = make('button', { type: 'button', ariaLabel: `Copy: ${what}` }, 'Copy');
  copy.addEventListener('click', async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(address);
      say('Copied.');
      copy.textContent = 'Copied';
    } catch {
      say('Copy it with the keyboard: it is selected.');
      field.focus();
    }
  });
  const follow = make('a', { href: address, target: '_blank', rel: 'noopener noreferrer', className: 'button', ariaLabel: `Open: ${what}` }, 'Open');
  return [make('label', { htmlFor: id }, what), make('div', { className: 'bar' }, field, copy, follow)];
}

$('share-form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!$('share-yes').hidden) create();
});
$('share-close').addEventListener('click', () => $('share-dialog').close());
$('share-port').addEventListener('click', sharePort);
