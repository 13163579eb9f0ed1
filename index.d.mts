// What `import` sees: the same declarations as `require` (dist/index.mjs re-exports dist/index.js).
import * as all from './index.js'

export * from './index.js'
export default all
