// What a pane shows of a file: a sentence, and an element for its content where it has one.
//
// Its bytes are hostile. They become text nodes, or an image of a `data:` address, which the page's
// policy allows and which has no origin: an SVG is drawn as an image, where no script of it runs.

import { request } from './api.js';
import { decoded, harmless, kindOf, table } from './content.js';
import { make } from './dom.js';
import { below, size, visible } from './text.js';

/** Bytes of text and of tables: 5,000 lines. */
const TEXT = 256 * 1024;
/** Bytes of an image. */
const IMAGE = 16 * 1024 ** 2;

const view = (about, content = null) => ({ about, content });

/** The view of the file at this path, whose name is this. */
export async function viewOf(path, name, signal) {
  const { kind, type } = kindOf(name);
  if (kind === 'download') return view('A PDF is not shown here. Download it to read it.');
  const { bytes, total } = await beginning(path, kind === 'image' ? IMAGE : TEXT, signal);
  const isCut = total > bytes.length;
  if (total === 0) return view('This file is empty.');
  if (kind === 'image') {
    return isCut
      ? view(`An image of ${size(total)} is too large to show: the limit is ${size(IMAGE)}.`)
      : imageOf(bytes, type, name);
  }
  const text = decoded(bytes, isCut);
  if (text === null) return view(`This file is not text (${size(total)}). Download it to open it.`);
  if (kind === 'table') return tableOf(table(text, name, isCut), total);
  const said = isCut ? `The first ${size(bytes.length)} of ${size(total)}.` : `${size(total)}.`;
  return view(said, make('pre', {}, harmless(text)));
}

/** The first bytes of a file, and how many it has. */
async function beginning(path, most, signal) {
  const headers = { range: `bytes=0-${most - 1}` };
  let answer;
  try {
    answer = await request(below('content', path), { headers, signal });
  } catch (error) {
    // No byte of an empty file can be asked for.
    if (error.status === 416) return { bytes: new Uint8Array(), total: 0 };
    throw error;
  }
  const total = /\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1];
  const parts = [];
  let length = 0;
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    length += part.value.length;
    // A folder comes as an archive of any length.
    if (length >= most) break;
  }
  reader.cancel().catch(() => {});
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer()).subarray(0, most);
  return { bytes, total: Number(total ?? length) };
}

async function imageOf(bytes, type, name) {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.addEventListener('load', resolve);
    reader.addEventListener('error', () => reject(reader.error));
    reader.readAsDataURL(new Blob([bytes], { type }));
  });
  const image = make('img', { src: reader.result, alt: visible(name) });
  try {
    await image.decode();
  } catch {
    return view(`${size(bytes.length)}. It is not an image that this browser can draw.`);
  }
  return view(`${image.naturalWidth} × ${image.naturalHeight} pixels, ${size(bytes.length)}.`, image);
}

function tableOf({ rows, hasMoreRows, hasMoreColumns }, total) {
  const [first, ...rest] = rows;
  if (!first) return view(`${size(total)}, without a row that can be shown.`);
  const head = first.map((text) => make('th', { scope: 'col', dir: 'auto' }, harmless(text)));
  const body = rest.map((row) =>
    make('tr', {}, ...row.map((text) => make('td', { dir: 'auto' }, harmless(text)))));
  const element = make('table', {}, make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body));
  const cut = [
    ...(hasMoreRows ? [`the first ${rows.length} rows`] : []),
    ...(hasMoreColumns ? [`the first ${Math.max(...rows.map((row) => row.length))} columns`] : []),
  ].join(' and ');
  const count = rest.length === 1 ? '1 row' : `${rest.length} rows`;
  return view(cut ? `${size(total)}. Shown are ${cut}.` : `${count}, ${size(total)}.`, element);
}
