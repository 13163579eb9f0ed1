/** Who takes the outputs of the other programs: in Azure a service would; it is the same for both packages. */

import { registerBinding } from 'durafn'

for (const type of ['programSms', 'storageQueue']) registerBinding(type, () => {})
