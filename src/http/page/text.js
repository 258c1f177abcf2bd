// What is shown, as text. Pure functions.

/** Controls, invisible characters and those that turn the direction, spelled out. */
export const visible = (name) =>
  name.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** A name within a sentence, whatever its direction: isolated, as `bdi` does it in HTML. */
export const quoted = (name) => `“\u2068${visible(name)}\u2069”`;

/** What the server says begins in lower case and may lack its full stop. */
export function sentence(text) {
  const said = text.trim();
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? '' : '.');
}

/** Three digits at most, and a unit. */
export function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; bytes >= 1024 && at < units.length - 1; at += 1) bytes /= 1024;
  return `${bytes.toFixed(at && bytes < 10 ? 1 : 0)} ${units[at]}`;
}

/** The two largest units of it. */
export function duration(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const spelled = [];
  for (const [length, unit] of parts) {
    if (seconds >= length) spelled.push(`${Math.floor(seconds / length)} ${unit}`);
    seconds %= length;
  }
  return spelled.slice(0, 2).join(' ') || '0 s';
}

const [days, times] = [{ dateStyle: 'medium' }, { timeStyle: 'short' }]
  .map((style) => new Intl.DateTimeFormat(undefined, style));

/** A point in time, as the reader's language has it: the day, and the time of day. */
export const instant = (text) => [days, times].map((format) => format.format(new Date(text)));

// A name may be any bytes, so a path is kept as it is served: escaped, and '' is the workspace
// itself. Only `spelled` has it as text, for people.

/** Bytes as they stand in a path: all but the plainest are escaped. */
const escaped = (bytes) => Array.from(bytes, (byte) => {
  const char = String.fromCharCode(byte);
  return /[\w.~-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}).join('');

/** The bytes of escaped text. What is not escaped stands for itself. */
function bytesOf(text) {
  const bytes = [];
  for (const [part, digits] of text.matchAll(/%([0-9a-f]{2})|[^%]+|%/gi)) {
    if (digits) bytes.push(parseInt(digits, 16));
    else bytes.push(...new TextEncoder().encode(part));
  }
  return Uint8Array.from(bytes);
}

/** The path of a new name in a folder. */
export const join = (folder, name) => {
  const last = escaped(new TextEncoder().encode(name));
  return folder ? `${folder}/${last}` : last;
};

/** Where a path is served: `route` is `content` or `download`. */
export const below = (route, path) => `/files/${route}/${path}`;

/** The path of an entry of a listing. */
export const pathOf = (entry) => entry.url.slice(below('content', '').length);

/** Where the page shows a folder, or a file in it: `?` is in no escaped name. */
export const linkTo = (folder, name = '') => `#/${folder}${name && `?${name}`}`;

const asEscaped = (path) =>
  path.split('/').filter(Boolean).map((part) => escaped(bytesOf(part))).join('/');

/** The folder that such an address names, however it was typed. */
export const folderOf = (hash) => asEscaped(hash.replace(/^#\/?/, '').split('?')[0]);

/** The path of the file that such an address names; '' is none. */
export function fileOf(hash) {
  const name = asEscaped(hash.split('?')[1] ?? '').split('/')[0];
  const folder = folderOf(hash);
  return name && folder ? `${folder}/${name}` : name;
}

/** The folder that a path is in, and its last name, escaped. */
export function split(path) {
  const at = path.lastIndexOf('/');
  return [path.slice(0, Math.max(at, 0)), path.slice(at + 1)];
}

/** Bytes as text; where they are none, or look like quoted ones, as bash quotes them. */
function text(bytes) {
  try {
    const plain = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!plain.startsWith("$'")) return plain;
  } catch { /* Not UTF-8. */ }
  const chars = Array.from(bytes, (byte) => {
    if (byte < 0x20 || byte > 0x7e) return `\\x${byte.toString(16).padStart(2, '0')}`;
    return String.fromCharCode(byte).replace(/['\\]/, '\\$&');
  });
  return `$'${chars.join('')}'`;
}

/** A path as text, name by name, for people. */
export const spelled = (path) => path.split('/').map((part) => text(bytesOf(part))).join('/');

/** A path as text, as a whole: what the server takes in a body. */
export const argument = (path) => text(bytesOf(path));
