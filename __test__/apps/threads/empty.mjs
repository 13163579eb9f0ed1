import 'durafn'

export default 1
