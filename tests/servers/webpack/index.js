document.title = 'webpack serves this';
