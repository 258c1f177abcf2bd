module.exports = { mode: 'development', entry: './index.js', stats: 'errors-only' };
