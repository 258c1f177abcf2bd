// One file, or one archive, on its way into the workspace.

import { Refused, credential, post, refusal } from './api.js';
import { agree, choose } from './dialogs.js';
import { say } from './dom.js';
import { session } from './session.js';
import { transfer } from './transfers.js';
import { argument, below, join, quoted, size, visible } from './text.js';

/** What the server unpacks, and what the browser decompresses for it. */
const ARCHIVE = /\.(tar|tar\.gz|tgz)$/i;

/** Whether a file of this name can be unpacked. */
export const isArchive = (name) => ARCHIVE.test(name);

/** Sends a body: fetch does not say how much of it has left, so this is the older API. */
function put(address, body, headers, under) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open('PUT', address);
    for (const [name, value] of Object.entries({ ...credential(), ...headers })) sending.setRequestHeader(name, value);
    sending.upload.addEventListener('progress', (event) => under.report(event.loaded));
    sending.addEventListener('load', () =>
      (sending.status < 300 ? resolve() : reject(refusal(sending.status, sending.responseText))));
    sending.addEventListener('error', () => reject(new Refused(0, 'The connection broke, or the file cannot be read.')));
    sending.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    under.signal.addEventListener('abort', () => sending.abort());
    sending.send(body);
  });
}

/** Does this while a line shows it. */
async function shown(verb, name, total, act) {
  const under = transfer(verb, name, total);
  try {
    await act(under);
  } finally {
    under.done();
  }
}

function checkSize(bytes) {
  const limit = session.status.limits.upload_bytes;
  if (bytes > limit) throw new Refused(413, `It has ${size(bytes)}; an upload may have ${size(limit)}.`);
}

/** Where a path within a folder leads. */
const within = (folder, path) => path.split('/').reduce(join, folder);

/** Uploads one file. An existing one is replaced only when the person agrees, for one or for all of `batch`. */
export async function sendFile(file, path, into, batch) {
  checkSize(file.size);
  const address = below('content', within(into, path));
  for (const mayReplace of [batch.replacesAll, true]) {
    try {
      const headers = mayReplace ? {} : { 'if-none-match': '*' };
      await shown('Uploading', path, file.size, (under) => put(address, file, headers, under));
      say(`Uploaded ${visible(path)}.`);
      return;
    } catch (error) {
      if (mayReplace || error.status !== 412) throw error;
    }
    const all = batch.files > 1 ? [['all', 'Replace all']] : [];
    const choices = [['no', batch.files > 1 ? 'Skip' : 'Cancel'], ...all, ['yes', 'Replace', 'danger']];
    const answer = await choose(`${quoted(path)} already exists. Replace it?`, choices);
    if (answer === 'all') batch.replacesAll = true;
    else if (answer !== 'yes') return;
  }
}

/** Asks what to do with an archive: `keep`, `unpack`, or nothing. */
export const askAbout = (name) => choose(`${quoted(name)} is an archive.`, [
  ['no', 'Cancel'], ['keep', 'Keep it as a file'], ['unpack', 'Unpack it', 'main']]);

/** Unpacks an archive into a folder of its name. */
export async function sendArchive(file, into) {
  const name = file.name.replace(ARCHIVE, '') || 'archive';
  const folder = join(into, name);
  try {
    await post('/files/folder', { path: argument(folder) });
  } catch (error) {
    if (error.code !== 'exists') throw error;
    const question = `The folder ${quoted(name)} is there already. Unpack into it? Files of the same names are replaced.`;
    if (!(await agree(question, 'Unpack'))) return;
  }
  const tar = /\.tar$/i.test(file.name) ? file : await decompressed(file);
  checkSize(tar.size);
  const address = `${below('content', folder)}?unpack=tar`;
  await shown('Unpacking', file.name, tar.size, (under) => put(address, tar, {}, under));
  say(`Unpacked ${visible(file.name)}.`);
}

/** The server takes what is stored as it is, so the browser decompresses: as much as an upload may have. */
async function decompressed(file) {
  const limit = session.status.limits.upload_bytes;
  let bytes = 0;
  const bound = new TransformStream({
    transform(chunk, out) {
      bytes += chunk.byteLength;
      if (bytes > limit) throw new Refused(413, `Decompressed it has more than the ${size(limit)} that an upload may have.`);
      out.enqueue(chunk);
    },
  });
  try {
    const stream = file.stream().pipeThrough(new DecompressionStream('gzip')).pipeThrough(bound);
    return await new Response(stream).blob();
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(400, 'It cannot be decompressed: it is damaged, or not a gzip file.');
  }
}
