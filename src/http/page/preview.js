// The pane over the list: the file that the address names.

import { Refused } from './api.js';
import { $, named, say } from './dom.js';
import { download } from './download.js';
import { session } from './session.js';
import { below, fileOf, linkTo, spelled, split, visible } from './text.js';
import { viewOf } from './view.js';

/** The path of what is shown, escaped; '' is none. */
let shown = '';
/** Whether the browser's "back" leads to the folder. */
let isFromFolder = false;
/** Ends the request for it. */
let end = new AbortController();

const nameOf = (path) => spelled(split(path)[1]);

/** Shows what the address names, or nothing. */
async function follow() {
  const path = session.status ? fileOf(location.hash) : '';
  if (path === shown) return;
  end.abort();
  end = new AbortController();
  shown = path;
  if (!path) {
    if ($('preview').open) $('preview').close();
    return;
  }
  const name = nameOf(path);
  $('preview-title').replaceChildren(named(name));
  fill('Opening…');
  if (!$('preview').open) $('preview').showModal();
  $('preview-close').focus();
  try {
    const { about, content } = await viewOf(path, name, end.signal);
    if (path !== shown) return;
    fill(about, content);
    say(`${visible(name)}: ${about}`);
  } catch (error) {
    if (error.name === 'AbortError' || path !== shown) return;
    if (error.status === 401) session.fail(error);
    else fill(error instanceof Refused ? error.message : 'The connection to the server broke.');
  }
}

/** What is said of the file, and what is shown of it. */
function fill(about, content = null) {
  $('preview-about').textContent = about;
  $('preview-content').replaceChildren(...(content ? [content] : []));
  $('preview-content').hidden = !content;
  $('preview-content').scrollTop = 0;
}

$('preview').addEventListener('close', () => {
  // Whoever signs in again comes back to it.
  if (!session.status || !fileOf(location.hash)) return;
  if (isFromFolder) history.back();
  else history.replaceState(null, '', linkTo(split(shown)[0]));
  follow();
});
$('preview-close').addEventListener('click', () => $('preview').close());
$('preview-download').addEventListener('click', () =>
  download(below('content', shown), { filename: nameOf(shown), is_dir: false, size: null }));

addEventListener('hashchange', ({ oldURL }) => {
  isFromFolder = !fileOf(new URL(oldURL).hash);
  follow();
});
session.addEventListener('enter', () => {
  isFromFolder = false;
  follow();
});
session.addEventListener('leave', follow);
