// Questions to the person, one at a time.

import { $, make } from './dom.js';

/** What was asked before. */
let asking = Promise.resolve();

/** Asks when all that was asked before is answered. */
function inTurn(ask) {
  const answer = asking.then(ask);
  asking = answer;
  return answer;
}

/** Whether the person agrees; Escape and a hasty Enter do not. */
export const agree = (question, verb) =>
  inTurn(async () => (await choice(question, [['no', 'Cancel'], ['yes', verb, 'danger']])) === 'yes');

/** Which of these a person chooses: `[value, words, class]`. Escape is the first, which has the keyboard. */
export const choose = (question, choices) => inTurn(() => choice(question, choices));

function choice(question, choices) {
  const buttons = choices.map(([value, words, className = '']) => {
    const made = make('button', { type: 'button', className }, words);
    made.addEventListener('click', () => $('ask').close(value));
    return made;
  });
  $('question').textContent = question;
  $('choices').replaceChildren(...buttons);
  $('ask').returnValue = choices[0][0];
  $('ask').showModal();
  buttons[0].focus();
  return closing($('ask'));
}

/** A name that a person types, or null. The part before the last dot is selected, as what they would change. */
export const askName = (question, verb, value = '') => inTurn(async () => {
  $('name-question').textContent = question;
  $('name-yes').textContent = verb;
  $('name').value = value;
  $('name-dialog').returnValue = 'no';
  $('name-dialog').showModal();
  $('name').focus();
  const dot = value.lastIndexOf('.');
  $('name').setSelectionRange(0, dot > 0 ? dot : value.length);
  return (await closing($('name-dialog'))) === 'yes' ? $('name').value : null;
});

const closing = (dialog) => new Promise((resolve) => {
  dialog.addEventListener('close', () => resolve(dialog.returnValue), { once: true });
});

$('name-form').addEventListener('submit', (event) => {
  event.preventDefault();
  $('name-dialog').close('yes');
});
$('name-no').addEventListener('click', () => $('name-dialog').close('no'));

/** Takes a question back: nobody is there any more who could answer. */
export function unask() {
  for (const dialog of [$('ask'), $('name-dialog'), $('share-dialog')]) {
    if (dialog.open) dialog.close('no');
  }
}
