// Elements, and how the page speaks.
//
// Names come from whoever wrote into the workspace, and are hostile: they become text
// (`append`, `textContent`), never HTML, and pass through `visible` first.

import { visible } from './text.js';

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** An element with these properties and this content. */
export function make(tag, properties, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

/** A name that turns the direction of nothing around it. */
export const named = (name) => make('bdi', {}, visible(name));

/** A button that says what it does, and to screen readers also to what. */
export function button(text, name, act) {
  const made = make('button', { type: 'button', ariaLabel: `${text} ${visible(name)}` }, text);
  made.addEventListener('click', act);
  return made;
}

/** The same as a picture, with its words for those who point at it. */
export function iconButton(kind, text, name, act) {
  const made = button('', name, act);
  Object.assign(made, { className: 'icon', title: text, ariaLabel: `${text} ${visible(name)}` });
  made.append(icon(kind));
  return made;
}

/** One of the pictures at the beginning of the page. */
export function icon(kind) {
  const name = 'http://www.w3.org/2000/svg';
  const [svg, use] = [document.createElementNS(name, 'svg'), document.createElementNS(name, 'use')];
  svg.setAttribute('class', kind);
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#icon-${kind}`);
  svg.append(use);
  return svg;
}

/** Fills a list of terms. A pair without a term takes the whole line. */
export const facts = (id, pairs) => $(id).replaceChildren(...pairs.flatMap(([term, value]) =>
  (term ? [make('dt', {}, term), make('dd', {}, value)] : [make('dd', { className: 'wide' }, value)])));

/** Has screen readers say it. */
export const say = (text) => { $('said').textContent = text; };

/** Shows what went wrong, until it is dismissed or something else goes wrong. */
export function complain(text) {
  $('error').firstElementChild.textContent = text;
  $('error').hidden = !text;
}
$('error').querySelector('button').addEventListener('click', () => {
  complain('');
  $('files-title').focus();
});
