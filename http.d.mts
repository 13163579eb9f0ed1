// What `import` sees: the same declarations as `require` (dist/http/index.mjs re-exports dist/http/index.js).
export * from './http.js'
