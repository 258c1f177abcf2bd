// A button that counts, in a module as the development server serves it.
const button = document.getElementById('count');
let clicks = 0;
button.addEventListener('click', () => {
  clicks += 1;
  button.textContent = `${clicks} clicks`;
});
button.dataset.ready = 'yes';
