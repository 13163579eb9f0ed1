const df = require('durafn')

const app = new df.App()
app.orchestration('from', () => 'CommonJS, app')
exports.app = app
