const df = require('durafn')

module.exports = new df.App()
module.exports.orchestration('from', () => 'CommonJS, module.exports')
