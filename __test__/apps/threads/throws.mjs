import 'durafn'

throw new RangeError('not today')
