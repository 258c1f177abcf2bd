// Files on their way into the folder that is shown: chosen, or dropped on the page.

import { Refused, credential, refusal } from './api.js';
import { $, agree, complain, say } from './dom.js';
import { folder, list } from './listing.js';
import { session } from './session.js';
import { showWaiting, transfer } from './transfers.js';
import { below, join, quoted, size, visible } from './text.js';

/** Sends a file: fetch does not say how much of a body has left, so this is the older API. */
function send(file, path, replace, under) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open('PUT', below('content', path));
    for (const [name, value] of Object.entries(credential())) sending.setRequestHeader(name, value);
    if (!replace) sending.setRequestHeader('If-None-Match', '*');
    sending.upload.addEventListener('progress', (event) => under.report(event.loaded));
    sending.addEventListener('load', () =>
      (sending.status < 300 ? resolve() : reject(refusal(sending.status, sending.responseText))));
    sending.addEventListener('error', () => reject(new Refused(0, 'The connection broke, or the file cannot be read.')));
    sending.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    under.signal.addEventListener('abort', () => sending.abort());
    sending.send(file);
  });
}

/** Uploads one file. An existing file is replaced only when the person agrees. */
async function uploadOne(file, into) {
  const limit = session.status.limits.upload_bytes;
  if (file.size > limit) throw new Refused(413, `It has ${size(file.size)}; an upload may have ${size(limit)}.`);
  const path = join(into, file.name);
  for (const replace of [false, true]) {
    const under = transfer('Uploading', file.name, file.size);
    try {
      await send(file, path, replace, under);
      say(`Uploaded ${visible(file.name)}.`);
      return;
    } catch (error) {
      if (replace || error.status !== 412) throw error;
    } finally {
      under.done();
    }
    if (!(await agree(`${quoted(file.name)} already exists. Replace it?`, 'Replace'))) return;
  }
}

/** One after the other: together they would take no less time, and each asks for itself. */
let queue = Promise.resolve();
let waiting = 0;

function upload(files) {
  const into = folder();
  const owner = session.status;
  waiting += files.length;
  for (const file of files) {
    queue = queue.then(async () => {
      waiting -= 1;
      // Who signed in meanwhile is not whose files these are.
      if (!session.isOf(owner)) return;
      showWaiting(waiting);
      try {
        await uploadOne(file, into);
      } catch (error) {
        session.fail(error, `${quoted(file.name)} was not uploaded.`);
      }
      if (session.status && folder() === into) await list();
    });
  }
}

$('choose').addEventListener('click', () => $('chosen').click());
$('chosen').addEventListener('change', () => {
  upload([...$('chosen').files]);
  $('chosen').value = '';
});

const carriesFiles = (event) => session.status && event.dataTransfer?.types.includes('Files');
addEventListener('dragover', (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add('dropping');
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('dropping');
});
addEventListener('drop', (event) => {
  document.body.classList.remove('dropping');
  if (!carriesFiles(event)) return;
  event.preventDefault();
  const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file');
  const isFolder = (item) => item.webkitGetAsEntry?.()?.isDirectory;
  if (items.some(isFolder)) complain('A folder cannot be dropped here; drop the files in it, or upload an archive.');
  upload(items.filter((item) => !isFolder(item)).map((item) => item.getAsFile()).filter(Boolean));
});
