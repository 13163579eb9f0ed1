// What `import` sees: the same declarations as `require` (dist/http/index.mjs re-exports dist/http/index.js).
import * as all from './http.js'

export * from './http.js'
export default all
