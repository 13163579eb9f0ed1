/** What is measured: the jobs, each of which runs in a process of its own, and the rows they fill. */

export const jobs = {
  W1: {},
  'W2-1000': {},
  'W2-10000': {},
  W3: {},
  W4: {},
  W5: {},
  W6: { alone: true },
  W7: {},
  E: { alone: true },
  FULL: { alone: true, onlyOnAsking: true },
  CAN: { alone: true, onlyOnAsking: true },
  MEM: { alone: true, onlyOnAsking: true },
  LIST: { alone: true, onlyOnAsking: true },
}

/** `alone`: only durafn has it. `higher`: more is better. `chart`: the panel's title, if it has one. */
export const rows = [
  row('W1', 'five activities in sequence, 200 instances at a time', '/s', '≥ 30,000', 'throughput'),
  row('W2-1000', 'one instance, 1,000 parallel activities', 'ms', '≤ 6', 'fan-out of 1,000'),
  row('W2-10000', 'one instance, 10,000 parallel activities', 'ms', '≤ 60', 'fan-out of 10,000'),
  row('W3-p50', 'one instance at a time, five activities: p50', 'ms', '≤ 0.9', 'latency, p50'),
  row('W3-p99', 'the same: p99', 'ms', '≤ 2', 'latency, p99'),
  row('W4', 'waiting instances, an event each', '/s', '≥ 20,000', 'events'),
  row('W5-all', '1,000 one-second timers: all', 'ms', '≤ 1,100', '1,000 one-second timers'),
  row('W5-p99', 'the same: p99 of the overshoot', 'ms', '≤ 20'),
  row('W7', 'a step of one instance with 2,000 in sequence', 'ms', '≤ 0.15', 'one step of 2,000'),
  row('W7-last', 'the same: the last 100 steps against the middle', '×', 'about 1'),
  row('W6', 'kill -9 with 10,000 waiting: first new step after the start', 'ms', '≤ 1,000'),
  row('E', 'signals to 100 entities, sent and carried out', '/s', '≥ 30,000'),
  row(
    'FULL',
    'W1 with 1,000,000 completed instances (--quick: 10,000), against an empty hub',
    '×',
    '≥ 0.85',
  ),
  row('FULL-mb', 'the same: memory of the process', 'MB', '–'),
  row('CAN-ms', 'continueAsNew: a generation', 'ms', '–'),
  row('CAN-mb', 'the same: growth of memory over all generations', 'MB', 'flat'),
  row('MEM', '100,000 waiting instances (--quick: 10,000): memory', 'MB', '≤ 200'),
  row('CPU', 'the same process when idle', '% of a core', 'about 0'),
  row('LIST-none', '1,000,000 instances (--quick: 100,000): a page of 1,000', 'ms', '≤ 20'),
  row('LIST-name', 'the same, by name', 'ms', '≤ 20'),
  row('LIST-idPrefix', 'the same, by prefix of the id', 'ms', '≤ 20'),
  row('LIST-status', 'the same, by status', 'ms', '≤ 20'),
  row('LIST-created', 'the same, by time of creation', 'ms', '≤ 20'),
]

function row(name, what, unit, goal, chart) {
  const shared = /^W[1-57]$|^W[235]-/.test(name)
  return { name, what, unit, goal, chart, alone: !shared, higher: unit === '/s' }
}

/** Three significant digits, more only in front of the point. */
export function digits(value) {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value === 0 ? '0' : Number(value.toPrecision(3)).toString()
}

/** A ratio: how many times. */
export function times(ratio) {
  return `${ratio < 10 ? ratio.toPrecision(2) : Math.round(ratio).toLocaleString('en-US')}×`
}
