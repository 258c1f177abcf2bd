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

/** The path of what is in a folder; '' is the workspace itself. */
export const join = (folder, name) => (folder ? `${folder}/${name}` : name);

const escaped = (path) => path.split('/').map(encodeURIComponent).join('/');

/** Where a path is served: `route` is `content` or `download`. */
export const below = (route, path) => `/files/${route}/${escaped(path)}`;

/** Where the page shows a folder. */
export const linkTo = (folder) => `#/${escaped(folder)}`;

/** The folder that such an address names; one that is no address names the workspace. */
export function folderOf(hash) {
  try {
    return hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent).filter(Boolean).join('/');
  } catch {
    return '';
  }
}
