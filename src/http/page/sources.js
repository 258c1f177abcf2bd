// Where files to upload come from: chosen, in a folder that is chosen, or dropped on the page.
// Each is `{ file, path }`: its path within the folder that is shown.

import { $, complain } from './dom.js';
import { session } from './session.js';

/** Files of one upload: a person who drops more than that has dropped the wrong folder. */
const MOST = 10_000;

/** Calls this with what a person gives. */
export function onFiles(upload) {
  const give = (items) => {
    if (items.length > MOST) complain(`That is more than ${MOST.toLocaleString()} files. Upload an archive of them.`);
    else if (items.length > 0) upload(items);
  };
  for (const [button, input] of [['choose', 'chosen'], ['choose-folder', 'chosen-folder']]) {
    $(button).addEventListener('click', () => $(input).click());
    $(input).addEventListener('change', () => {
      // A chosen folder's files have paths that begin with its name.
      give([...$(input).files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      $(input).value = '';
    });
  }
  addEventListener('drop', async (event) => {
    document.body.classList.remove('dropping');
    if (!carriesFiles(event)) return;
    event.preventDefault();
    try {
      give(await dropped(event.dataTransfer));
    } catch {
      complain('What was dropped cannot be read.');
    }
  });
}

/** All files of a drop, with those in its folders. The items are gone after the event: they are taken at once. */
async function dropped({ items }) {
  const files = [...items].filter((item) => item.kind === 'file');
  const taken = files.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const found = [];
  for (const [entry, file] of taken) {
    if (entry?.isDirectory) await walk(entry, entry.name, found);
    else if (file) found.push({ file, path: file.name });
  }
  return found;
}

async function walk(folder, path, found) {
  const reader = folder.createReader();
  // It gives a hundred at a time, and none at the end.
  for (let some = await read(reader); some.length > 0 && found.length <= MOST; some = await read(reader)) {
    for (const entry of some) {
      const below = `${path}/${entry.name}`;
      if (entry.isDirectory) await walk(entry, below, found);
      else found.push({ file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }), path: below });
    }
  }
}

const read = (reader) => new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });

const carriesFiles = (event) => session.status && event.dataTransfer?.types.includes('Files');
addEventListener('dragover', (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add('dropping');
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('dropping');
});
