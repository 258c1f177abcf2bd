// What is in a file, as text and as a table. Pure functions.

/** Of a table: what a person reads before they download it. */
const ROWS = 200;
const COLUMNS = 50;
/** Of one cell; the rest of it is cut. */
const CELL_CHARS = 500;

/** What the end of a name says that a file is. */
const KINDS = new Map(Object.entries({
  png: ['image', 'image/png'],
  jpg: ['image', 'image/jpeg'],
  jpeg: ['image', 'image/jpeg'],
  gif: ['image', 'image/gif'],
  webp: ['image', 'image/webp'],
  svg: ['image', 'image/svg+xml'],
  csv: ['table'],
  tsv: ['table'],
  pdf: ['download'],
}));

/** How a file of this name is shown, and the type of an image. */
export function kindOf(name) {
  const [kind, type] = KINDS.get(/\.([^.]*)$/.exec(name.toLowerCase())?.[1]) ?? ['text'];
  return { kind, type };
}

/** Controls, except those of lines and tabs, and what turns the direction of text, spelled out: code shows what it is. */
export const harmless = (text) => text.replace(/\r\n?/g, '\n').replace(
  /[^\P{Cc}\n\t]|[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu,
  (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** Bytes as text; null where they are something else. `isCut`: the last character may be, too. */
export function decoded(bytes, isCut) {
  const [first, second] = bytes;
  const isWide = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  const encoding = isWide ? (first === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8';
  if (!isWide && bytes.includes(0)) return null;
  const text = new TextDecoder(encoding).decode(bytes, { stream: isCut });
  const broken = text.split('\uFFFD').length - 1;
  return broken > text.length / 20 ? null : text;
}

/** What separates the columns: of what the first line has outside of quotes, the most. */
function separator(text, name) {
  if (/\.tsv$/i.test(name)) return '\t';
  const line = text.replace(/"[^"]*"/g, '').split(/[\r\n]/, 1)[0];
  const count = (char) => line.split(char).length;
  return [',', ';', '\t'].reduce((best, char) => (count(char) > count(best) ? char : best));
}

/**
 * The rows of a table (RFC 4180): a cell in quotes has separators and line ends, and two quotes
 * are one. `isCut`: the text is only the beginning, and so is its last row.
 */
export function table(text, name, isCut) {
  const between = separator(text, name);
  const rows = [];
  let [row, cell, isQuoted] = [[], '', false];
  const endRow = () => {
    if (row.length > 0 || cell) rows.push([...row, cell]);
    [row, cell] = [[], ''];
  };
  for (let at = 0; at < text.length && rows.length <= ROWS; at += 1) {
    const char = text[at];
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') cell += text[at += 1];
      else isQuoted = false;
    } else if (char === '"' && cell === '') isQuoted = true;
    else if (char === between) {
      row.push(cell);
      cell = '';
    } else if (char === '\n' || char === '\r') endRow();
    else cell += char;
  }
  const isWhole = !isCut && rows.length <= ROWS;
  if (isWhole) endRow();
  return {
    rows: rows.slice(0, ROWS).map((cells) => cells.slice(0, COLUMNS).map(shortened)),
    hasMoreRows: !isWhole || rows.length > ROWS,
    hasMoreColumns: rows.some((cells) => cells.length > COLUMNS),
  };
}

const shortened = (cell) => (cell.length > CELL_CHARS ? `${cell.slice(0, CELL_CHARS)}…` : cell);
