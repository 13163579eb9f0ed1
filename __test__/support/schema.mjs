/** Holds values against schemas of OpenAPI 3.0, as far as the document of the management API uses them. */

/** What is wrong with a value; nothing: it is of the schema. */
export function faultsOf(value, schema, document, at = 'body') {
  if (schema.$ref !== undefined) {
    const found = schema.$ref
      .slice(2)
      .split('/')
      .reduce((node, key) => node[key], document)
    return faultsOf(value, found, document, at)
  }
  const unknown = Object.keys(schema).filter((key) => !KNOWN.includes(key))
  if (unknown.length > 0) throw new Error(`${at}: this check does not know ${unknown}`)
  if (value === null && (schema.nullable || schema.type === undefined)) return []
  if (schema.type !== undefined && !types[schema.type](value)) {
    return [`${at} is no ${schema.type}: ${JSON.stringify(value)}`]
  }
  return [...ownFaults(value, schema, at), ...innerFaults(value, schema, document, at)]
}

const KNOWN = [
  'type',
  'nullable',
  'enum',
  'pattern',
  'format',
  'minimum',
  'maximum',
  'minLength',
  'minItems',
  'default',
  'description',
  'items',
  'properties',
  'required',
  'additionalProperties',
]

const types = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  array: Array.isArray,
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
}

function ownFaults(value, schema, at) {
  const faults = []
  if (schema.enum !== undefined && !schema.enum.includes(value)) faults.push(`${at}: ${value}`)
  if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
    faults.push(`${at} is not like ${schema.pattern}: ${value}`)
  }
  if (schema.format === 'date-time' && Number.isNaN(Date.parse(value))) {
    faults.push(`${at} is no time: ${value}`)
  }
  const { minimum = value, maximum = value } = schema
  if (typeof value === 'number' && (value < minimum || value > maximum)) {
    faults.push(`${at} is out of range: ${value}`)
  }
  return faults
}

function innerFaults(value, schema, document, at) {
  if (Array.isArray(value)) {
    const items = schema.items ?? {}
    return value.flatMap((item, index) => faultsOf(item, items, document, `${at}[${index}]`))
  }
  if (typeof value !== 'object' || value === null) return []
  const { properties = {}, required = [], additionalProperties = true } = schema
  const missing = required.filter((name) => !(name in value))
  const faults = missing.map((name) => `${at}.${name} is missing`)
  for (const [name, inner] of Object.entries(value)) {
    const own = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (own === false) faults.push(`${at}.${name} is too much`)
    else if (own !== true) faults.push(...faultsOf(inner, own, document, `${at}.${name}`))
  }
  return faults
}
