# `just` lists these. Each is one npm script or cargo command; CI runs .ci/run and nothing else.

[private]
default:
    @just --list

# Native addon and TypeScript, release.
build:
    npm run build

format:
    npm run format

lint:
    npm run lint

# All tests; `just test __test__/api.spec.mjs` runs that file, `just test --rust` the Rust ones.
test *args:
    npm test -- {{ args }}

bench *args:
    npm run bench -- {{ args }}

# Everything that CI runs.
verify:
    bash .ci/run

# Licences, bans and sources of the Rust dependencies (cargo install cargo-deny).
deny:
    cargo deny check
