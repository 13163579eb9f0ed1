Object.defineProperty(exports, '__esModule', { value: true })
const df = require('durafn')

const app = new df.App()
app.orchestration('from', () => 'CommonJS, exports.default')
exports.default = app
