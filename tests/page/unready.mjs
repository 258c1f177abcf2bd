// A server without an Engine, and one whose disk is full, say so on the page.
// Settings: `noEngine` and `noSpace`, their addresses; they need no token.

export async function unready(visit, { noEngine, noSpace }) {
  await visit.page.goto(noEngine);
  await visit.alert('This page tries again every few seconds.');
  await visit.alert(/Docker/);
  await visit.look('unready');
  visit.hosts.clear();
  await visit.page.goto(noSpace);
  await visit.alert('there is no room for a new workspace');
  await visit.page.getByText('This folder cannot be shown.').waitFor();
  await visit.look('full');
}
