/** Which addresses `callHttp` connects to: the rules by themselves. Over the network: `call-http.spec.mjs`. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AddressRules, isPrivate } from '../dist/call-http/addresses.js'

const PRIVATE = [
  '0.0.0.0',
  '10.0.0.1',
  '100.100.100.200',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:a9fe:a9fe',
  '::ffff:0:127.0.0.1',
  '::ffff:0:a9fe:a9fe',
  '0:0:0:0:ffff:0:10.0.0.1',
  '0:0:0:0:0:ffff:10.0.0.1',
  '64:ff9b::10.0.0.1',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::1',
  '64:ff9b:1:a00:0:100::',
  '2001::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2606:4700::5efe:10.0.0.1',
  '2606:4700:0:1:200:5efe:169.254.169.254',
  '2606:4700:1:2:0:5efe:7f00:1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'localhost',
  '',
]
const PUBLIC = [
  '1.1.1.1',
  '9.255.255.255',
  '100.63.255.255',
  '100.128.0.0',
  '128.0.0.1',
  '172.15.255.255',
  '172.32.0.0',
  '192.169.0.1',
  '223.255.255.255',
  '::ffff:1.1.1.1',
  '::ffff:0:1.1.1.1',
  '64:ff9b::1.1.1.1',
  '2606:4700::1111',
  '2606:4700::5efe:1.1.1.1',
  '2606:4700:0:5efe::10.0.0.1',
  '2a00:1450:4001::1',
]

test('private, loopback, link-local, reserved and metadata addresses are told from public ones', () => {
  assert.deepEqual(
    PRIVATE.filter((address) => !isPrivate(address)),
    [],
  )
  assert.deepEqual(PUBLIC.filter(isPrivate), [])
})

/** What a socket that looks `name` up is given, where `name` has these addresses. */
function lookUp(allowed, name, addresses, options = { all: true }) {
  const resolve = (_name, _family, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  const rules = new AddressRules(allowed, resolve)
  return new Promise((done) => {
    rules.lookup(name, options, (error, found) => done(error === null ? found : error.code))
  })
}

describe('a look-up', () => {
  test('gives public addresses', async () => {
    const found = await lookUp(false, 'host.test', ['1.1.1.1', '2606:4700::1111'])
    assert.deepEqual(
      found.map(({ address }) => address),
      ['1.1.1.1', '2606:4700::1111'],
    )
    assert.equal(await lookUp(false, 'host.test', ['1.1.1.1'], {}), '1.1.1.1')
  })

  test('is refused for a name that has a private address, also beside public ones', async () => {
    assert.equal(await lookUp(false, 'host.test', ['10.0.0.1']), 'AddressRefused')
    assert.equal(await lookUp(false, 'host.test', ['1.1.1.1', '::1']), 'AddressRefused')
    assert.equal(
      await lookUp(false, 'host.test', ['1.1.1.1', '169.254.169.254'], {}),
      'AddressRefused',
    )
  })

  test('of a name that answers otherwise the second time is checked the second time', async () => {
    const answers = ['1.1.1.1', '127.0.0.1']
    const resolve = (_name, _family, callback) =>
      callback(null, [{ address: answers.shift(), family: 4 }])
    const rules = new AddressRules(false, resolve)
    const look = () =>
      new Promise((done) => rules.lookup('host.test', {}, (error) => done(error?.code)))
    assert.deepEqual([await look(), await look()], [undefined, 'AddressRefused'])
  })

  test('goes through for what the hub allows: all, a name, an address, a range', async () => {
    for (const allowed of [
      true,
      ['HOST.test'],
      ['10.0.0.1'],
      ['10.0.0.0/8'],
      ['::1', '10.0.0.0/24'],
    ]) {
      assert.ok(Array.isArray(await lookUp(allowed, 'host.test', ['10.0.0.1'])), String(allowed))
    }
    assert.equal(
      await lookUp(['10.0.1.0/24', 'other.test'], 'host.test', ['10.0.0.1']),
      'AddressRefused',
    )
    for (const address of ['::ffff:127.0.0.1', '::ffff:0:127.0.0.1']) {
      assert.ok(Array.isArray(await lookUp(['127.0.0.0/8'], 'host.test', [address])), address)
    }
  })
})
